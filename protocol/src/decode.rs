//! Reading one request from one line.
//!
//! [`decode_request`] is strict about types and ranges and always says what was wrong; it keeps
//! the `req_id`, so that a refusal reaches the call it belongs to. Unknown fields are ignored.

use crate::limits::{self, ID_CHARS, LABEL_CHARS, TEXT_BYTES, TEXT_UTF16};
use crate::request::{
    GroupRequest, HubChange, HubPolicy, Incoming, PushWay, Register, Request, Scope, SendMessage,
};
use crate::{ErrorCode, MeshChoice, PushResult, Refusal};
use serde_json::{Map, Value};

/// Returns the request in one line, or the refusal with the `req_id` where one could be read.
///
/// # Errors
/// `bad_msg` for what is not a message of the protocol, `bad_args` for an argument that is
/// missing, of the wrong type or out of range, `too_large` for a text over its limit.
pub fn decode_request(line: &[u8]) -> Result<Incoming, (Option<String>, Refusal)> {
    let bad = |message: String| (None, Refusal::new(ErrorCode::BadMsg, message));
    let text = std::str::from_utf8(line).map_err(|e| {
        bad(format!(
            "The line is not valid UTF-8 at byte {}.",
            e.valid_up_to()
        ))
    })?;
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(first) => serde_json::from_str(&replace_lone_surrogates(text))
            .map_err(|_| bad(format!("The line is not JSON: {first}.")))?,
    };
    let Value::Object(object) = value else {
        return Err(bad("The line is not a JSON object.".into()));
    };
    let mut fields = Fields(object);
    let req_id = fields
        .0
        .get("req_id")
        .and_then(Value::as_str)
        .map(str::to_owned);
    let req_id = req_id.filter(|id| id.chars().count() <= ID_CHARS);
    match request(&mut fields) {
        Ok(request) => Ok(Incoming { req_id, request }),
        Err(refusal) => Err((req_id, refusal)),
    }
}

fn request(f: &mut Fields) -> Result<Request, Refusal> {
    let Some(Value::String(kind)) = f.0.remove("type") else {
        return Err(Refusal::new(
            ErrorCode::BadMsg,
            "\"type\" is missing or not a string.",
        ));
    };
    if let Some(id) = f.0.get("req_id")
        && id.as_str().is_none_or(|id| id.chars().count() > ID_CHARS)
    {
        return Err(Refusal::new(
            ErrorCode::BadMsg,
            "\"req_id\" must be a string of at most 256 characters.",
        ));
    }
    let group = |f: &mut Fields, request: GroupRequest| -> Result<Request, Refusal> {
        Ok(Request::Group {
            group: f.string("group")?,
            request,
        })
    };
    Ok(match kind.as_str() {
        "register" => Request::Register(Register {
            protocol_version: f.string("protocol_version")?,
            name: f.string("name")?,
            cwd: shortened(
                crate::visible(&f.optional_string("cwd")?.unwrap_or_default()),
                limits::CWD_CHARS,
            ),
            git_branch: shortened(
                crate::visible(&f.optional_string("git_branch")?.unwrap_or_default()),
                limits::BRANCH_CHARS,
            ),
            agent: f.label("agent")?,
            state: f.label("state")?,
            push: push_way(f)?,
            suffix: f.flag("suffix")?.unwrap_or(false),
            session_key: f.id("session_key")?,
            attach: f.flag("attach")?.unwrap_or(false),
        }),
        "rename" => Request::Rename {
            new_name: f.string("new_name")?,
        },
        "list_peers" => Request::ListPeers,
        "list_rooms" => Request::ListRooms,
        "send" => Request::Send(SendMessage {
            to: f.string("to")?,
            text: f.text("text")?,
            reply_to: f.id("reply_to")?,
            urgent: f.flag("urgent")?.unwrap_or(false),
            msg_id: f.new_id("msg_id", ID_CHARS)?,
        }),
        "inbox" => Request::Inbox {
            limit: f.count("limit", limits::INBOX_PAGE)?,
            since_id: match f.id("since_id")? {
                Some(id) if id.is_empty() => {
                    return Err(Refusal::bad_args(
                        "\"since_id\" is empty; leave it out to read on.",
                    ));
                }
                id => id,
            },
        },
        "read" => Request::Read {
            msg_ids: f.ids("msg_ids")?,
        },
        "broadcast" => Request::Broadcast {
            question: f.text("question")?,
            broadcast_id: f.new_id("broadcast_id", limits::BROADCAST_ID_CHARS)?,
            exclude_self: f.flag("exclude_self")?.unwrap_or(true),
            scope: match f.optional_string("scope")?.as_deref() {
                None | Some("mesh") => Scope::Mesh,
                Some("hub") => Scope::Hub,
                Some(_) => return Err(Refusal::bad_args("\"scope\" is \"mesh\" or \"hub\".")),
            },
        },
        "reply" => Request::Reply {
            ask_id: f.string("ask_id")?,
            text: f.text("text")?,
            msg_id: f.new_id("msg_id", ID_CHARS)?,
        },
        "join_room" => Request::JoinRoom {
            room: f.string("room")?,
        },
        "leave_room" => Request::LeaveRoom {
            room: f.string("room")?,
        },
        "room_msg" => Request::RoomMessage {
            room: f.string("room")?,
            text: f.text("text")?,
            msg_id: f.new_id("msg_id", ID_CHARS)?,
        },
        "group_create" => Request::Group {
            group: f.string("name")?,
            request: GroupRequest::Create {
                members: f.strings("members", limits::GROUP_MEMBERS)?,
            },
        },
        "group_invite" => {
            let peer = f.string("peer")?;
            group(f, GroupRequest::Invite { peer })?
        }
        "group_remove" => {
            let (peer, reason) = (f.string("peer")?, f.string("reason")?);
            if !(1..=limits::REASON_CHARS).contains(&reason.chars().count()) {
                return Err(Refusal::bad_args(
                    "\"reason\" must have 1 to 256 characters.",
                ));
            }
            group(f, GroupRequest::Remove { peer, reason })?
        }
        "group_leave" => group(f, GroupRequest::Leave)?,
        "group_delete" => group(f, GroupRequest::Delete)?,
        "group_send" => {
            let (text, msg_id) = (f.text("text")?, f.new_id("msg_id", ID_CHARS)?);
            group(f, GroupRequest::Send { text, msg_id })?
        }
        "group_history" => {
            let limit = f.count("limit", limits::HISTORY_PAGE)?;
            group(f, GroupRequest::History { limit })?
        }
        "group_info" => group(f, GroupRequest::Info)?,
        "group_list" => Request::GroupList,
        "ping" => Request::Ping,
        "pong" => Request::Pong {
            probe: f.string("req_id")?,
        },
        "pushed" => Request::Pushed {
            msg_ids: f.ids("msg_ids")?,
            result: match f.string("result")?.as_str() {
                "handed" => PushResult::Handed,
                "refused" => PushResult::Refused,
                "unknown" => PushResult::Unknown,
                _ => {
                    return Err(Refusal::bad_args(
                        "\"result\" is \"handed\", \"refused\" or \"unknown\".",
                    ));
                }
            },
            path: f.label("path")?.unwrap_or_default(),
            detail: f.detail("detail")?,
        },
        "state" => Request::State {
            state: f.label("state")?.unwrap_or_default(),
            push: push_way(f)?,
        },
        "status" => Request::Status,
        "watch" => Request::Watch {
            name: f.optional_string("name")?,
        },
        "why" => Request::Why {
            msg_id: f.string("msg_id")?,
        },
        "invite" => Request::Invite {
            expires_s: f.count("expires_s", limits::TICKET_MOST_S)?,
            uses: f.count("uses", limits::TICKET_USES)?,
        },
        "join" => Request::Join {
            ticket: Box::new(crate::Ticket::decode(&f.string("ticket")?)?),
        },
        "connect" => Request::Connect {
            address: f.string("address")?,
        },
        "pair" => Request::Pair {
            code: f.optional_string("code")?,
        },
        "pair_answer" => Request::PairAnswer {
            choice: MeshChoice::named(&f.string("choice")?)
                .ok_or_else(|| Refusal::bad_args("\"choice\" is stay, leave or merge."))?,
        },
        "hub" => Request::Hub {
            hub: f.string("hub")?,
            change: hub_change(f)?,
        },
        "rendezvous" => Request::Rendezvous {
            address: f.string("address")?,
            add: f.flag("add")?.unwrap_or(true),
        },
        "stay" => Request::Stay,
        "stop" => Request::Stop,
        "import_mailbox" => Request::ImportMailbox(f.whole()?),
        "import_group" => Request::ImportGroup(f.whole()?),
        other => {
            return Err(Refusal::new(
                ErrorCode::BadMsg,
                format!(
                    "There is no message of type \"{}\".",
                    shortened(crate::visible(other), LABEL_CHARS)
                ),
            ));
        }
    })
}

/// Returns how messages reach the session; nothing where it does not say.
fn push_way(f: &mut Fields) -> Result<Option<PushWay>, Refusal> {
    let (path, detail) = (f.label("push")?, f.detail("push_detail")?);
    let path = path.filter(|path| !path.is_empty());
    Ok(path.map(|path| PushWay { path, detail }))
}

/// Returns what is to be done about another hub.
fn hub_change(f: &mut Fields) -> Result<HubChange, Refusal> {
    let unknown = |what: &str| {
        let what = shortened(crate::visible(what), LABEL_CHARS);
        Err(Refusal::bad_args(format!("\"{what}\" is not known here.")))
    };
    match f.string("change")?.as_str() {
        "label" => Ok(HubChange::Label(f.optional_string("label")?)),
        "policy" => match f.string("policy")?.as_str() {
            "normal" => Ok(HubChange::Policy(HubPolicy::Normal)),
            "not_urgent" => Ok(HubChange::Policy(HubPolicy::NotUrgent)),
            "quiet" => Ok(HubChange::Policy(HubPolicy::Quiet)),
            other => unknown(other),
        },
        "forget" => Ok(HubChange::Forget),
        "revoke" => Ok(HubChange::Revoke),
        other => unknown(other),
    }
}

/// The fields of one message, read one by one.
struct Fields(Map<String, Value>);

impl Fields {
    fn optional_string(&mut self, key: &str) -> Result<Option<String>, Refusal> {
        match self.0.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Refusal::new(
                ErrorCode::BadMsg,
                format!("\"{key}\" must be a string."),
            )),
        }
    }

    fn string(&mut self, key: &str) -> Result<String, Refusal> {
        self.optional_string(key)?
            .ok_or_else(|| Refusal::new(ErrorCode::BadMsg, format!("\"{key}\" is missing.")))
    }

    fn text(&mut self, key: &str) -> Result<String, Refusal> {
        let text = self.string(key)?;
        let units = if text.len() <= TEXT_UTF16 {
            0
        } else {
            text.encode_utf16().count()
        };
        if units > TEXT_UTF16 || text.len() > TEXT_BYTES {
            return Err(Refusal::new(
                ErrorCode::TooLarge,
                format!(
                    "\"{key}\" has {units} characters ({} bytes); the limit is {TEXT_UTF16} characters. Send it in parts, or put it in a file and send the path.",
                    text.len()
                ),
            ));
        }
        Ok(text)
    }

    /// Returns an id that the client makes; an empty one counts as missing. It will stand in the
    /// hub's own line above a text, so it may not be able to say something there.
    fn new_id(&mut self, key: &str, most: usize) -> Result<Option<String>, Refusal> {
        let id = self.optional_string(key)?;
        match &id {
            Some(id) if id.chars().count() > most || !id.chars().all(crate::is_id_char) => {
                Err(Refusal::bad_args(format!(
                    "\"{key}\" may have at most {most} letters, digits and any of {}.",
                    crate::ID_MARKS
                )))
            }
            _ => Ok(id.filter(|id| !id.is_empty())),
        }
    }

    fn id(&mut self, key: &str) -> Result<Option<String>, Refusal> {
        let id = self.optional_string(key)?;
        match &id {
            Some(id) if id.chars().count() > ID_CHARS => Err(Refusal::bad_args(format!(
                "\"{key}\" is longer than {ID_CHARS} characters."
            ))),
            Some(id) if id.chars().any(char::is_control) => Err(Refusal::bad_args(format!(
                "\"{key}\" has a control character."
            ))),
            _ => Ok(id),
        }
    }

    fn label(&mut self, key: &str) -> Result<Option<String>, Refusal> {
        Ok(self
            .optional_string(key)?
            .map(|label| shortened(crate::visible(&label), LABEL_CHARS)))
    }

    fn detail(&mut self, key: &str) -> Result<Option<String>, Refusal> {
        Ok(self
            .optional_string(key)?
            .map(|detail| shortened(crate::visible(&detail), limits::DETAIL_CHARS)))
    }

    fn flag(&mut self, key: &str) -> Result<Option<bool>, Refusal> {
        match self.0.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(Refusal::new(
                ErrorCode::BadMsg,
                format!("\"{key}\" must be true or false."),
            )),
        }
    }

    fn count(&mut self, key: &str, most: usize) -> Result<Option<usize>, Refusal> {
        match self.0.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Number(n)) => {
                // The reference cuts fractions off.
                let n = n.as_f64().unwrap_or(f64::NAN).trunc();
                if n >= 1.0 && n <= most as f64 {
                    Ok(Some(n as usize))
                } else {
                    Err(Refusal::bad_args(format!(
                        "\"{key}\" must be from 1 to {most}."
                    )))
                }
            }
            Some(_) => Err(Refusal::new(
                ErrorCode::BadMsg,
                format!("\"{key}\" must be a number."),
            )),
        }
    }

    fn strings(&mut self, key: &str, most: usize) -> Result<Vec<String>, Refusal> {
        let wrong = || Refusal::bad_args(format!("\"{key}\" must be an array of strings."));
        let Some(Value::Array(items)) = self.0.remove(key) else {
            return Err(wrong());
        };
        if items.len() > most {
            return Err(Refusal::bad_args(format!(
                "\"{key}\" may have at most {most} entries."
            )));
        }
        items
            .into_iter()
            .map(|item| match item {
                Value::String(text) => Ok(text),
                _ => Err(wrong()),
            })
            .collect()
    }

    fn ids(&mut self, key: &str) -> Result<Vec<String>, Refusal> {
        self.strings(key, 1_000)
    }

    fn whole<T: serde::de::DeserializeOwned>(&mut self) -> Result<T, Refusal> {
        serde_json::from_value(Value::Object(std::mem::take(&mut self.0))).map_err(|e| {
            Refusal::new(
                ErrorCode::BadMsg,
                format!("The message is incomplete: {e}."),
            )
        })
    }
}

/// Returns `text` cut to at most `chars` characters.
fn shortened(mut text: String, chars: usize) -> String {
    if let Some((at, _)) = text.char_indices().nth(chars) {
        text.truncate(at);
    }
    text
}

/// Returns JSON text in which `\uD800`-style escapes without their partner are `\uFFFD`.
/// JavaScript clients can write such escapes; no Rust string can hold them.
pub fn replace_lone_surrogates(text: &str) -> String {
    let escape = |at: usize| -> Option<u16> {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    while let Some(found) = text[at..].find('\\') {
        let here = at + found;
        out.push_str(&text[at..here]);
        let (kept, next) = match escape(here) {
            Some(0xD800..=0xDBFF) => match escape(here + 6) {
                Some(0xDC00..=0xDFFF) => (&text[here..here + 12], here + 12),
                _ => ("\\uFFFD", here + 6),
            },
            Some(0xDC00..=0xDFFF) => ("\\uFFFD", here + 6),
            _ => {
                let end = text[here + 1..]
                    .chars()
                    .next()
                    .map_or(here + 1, |c| here + 1 + c.len_utf8());
                (&text[here..end], end)
            }
        };
        out.push_str(kept);
        at = next;
    }
    out.push_str(&text[at..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refusal(line: &str) -> (Option<String>, ErrorCode) {
        let (req_id, refusal) = decode_request(line.as_bytes()).unwrap_err();
        assert!(refusal.message.ends_with('.'), "{}", refusal.message);
        (req_id, refusal.code)
    }

    #[test]
    fn refusals_carry_the_req_id_and_the_right_code() {
        use ErrorCode::*;
        let id = Some("r1".to_owned());
        assert_eq!(refusal("nonsense"), (None, BadMsg));
        assert_eq!(refusal("null"), (None, BadMsg));
        assert_eq!(refusal(r#"{"req_id":"r1"}"#), (id.clone(), BadMsg));
        assert_eq!(
            refusal(r#"{"type":"dance","req_id":"r1"}"#),
            (id.clone(), BadMsg)
        );
        assert_eq!(
            refusal(r#"{"type":"inbox","req_id":"r1","limit":101}"#),
            (id.clone(), BadArgs)
        );
        assert_eq!(
            refusal(r#"{"type":"inbox","req_id":"r1","limit":0}"#),
            (id.clone(), BadArgs)
        );
        assert_eq!(
            refusal(r#"{"type":"inbox","req_id":"r1","limit":1e300}"#),
            (id.clone(), BadArgs)
        );
        assert_eq!(
            refusal(r#"{"type":"send","req_id":"r1","to":5,"text":"x"}"#),
            (id.clone(), BadMsg)
        );
        assert_eq!(
            refusal(r#"{"type":"group_create","req_id":"r1","name":"g","members":[1]}"#),
            (id.clone(), BadArgs)
        );
        let long = format!(
            r#"{{"type":"send","req_id":"r1","to":"a","text":"{}"}}"#,
            "x".repeat(TEXT_UTF16 + 1)
        );
        assert_eq!(refusal(&long), (id, TooLarge));
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(refusal(&deep), (None, BadMsg));
        assert_eq!(
            decode_request(b"{\"type\":\"ping\xff\"}")
                .unwrap_err()
                .1
                .code,
            BadMsg
        );
    }

    #[test]
    fn the_largest_text_is_counted_in_utf16_units() {
        let text = "世".repeat(TEXT_UTF16);
        let line = serde_json::json!({"type": "send", "to": "a", "text": text}).to_string();
        assert!(line.len() < limits::LINE_BYTES);
        assert!(decode_request(line.as_bytes()).is_ok());
    }

    #[test]
    fn ids_that_clients_make_cannot_speak() {
        use ErrorCode::BadArgs;
        let line = |key: &str, id: &str| serde_json::json!({"type":"broadcast","question":"q","broadcast_id":"b","to":"a","room":"r","text":"t",key:id});
        for id in ["a b", "x\"", "<b>", "[ecorelay]", "\u{202e}", "é", "a\nb"] {
            let broadcast = line("broadcast_id", id);
            assert_eq!(refusal(&broadcast.to_string()).1, BadArgs, "{id}");
            for kind in ["send", "room_msg"] {
                let mut sent = line("msg_id", id);
                sent["type"] = kind.into();
                assert_eq!(refusal(&sent.to_string()).1, BadArgs, "{id}");
            }
        }
        let most = "b".repeat(limits::BROADCAST_ID_CHARS);
        let own = "bcast-a.b_c-1-1795348943331:x@h/+=~";
        for id in [most.as_str(), own] {
            let broadcast = line("broadcast_id", id).to_string();
            assert!(decode_request(broadcast.as_bytes()).is_ok(), "{id}");
        }
        let over = line("broadcast_id", &(most + "b")).to_string();
        assert_eq!(refusal(&over).1, BadArgs);
    }

    #[test]
    fn lone_surrogates_are_replaced_and_pairs_kept() {
        let line = r#"{"type":"send","to":"a","text":"\ud800 \ud83d\ude00 \\ud800 \udc00"}"#;
        let Request::Send(send) = decode_request(line.as_bytes()).unwrap().request else {
            panic!()
        };
        assert_eq!(send.text, "\u{fffd} 😀 \\ud800 \u{fffd}");
    }

    #[test]
    fn a_place_cannot_hide_characters() {
        let line = serde_json::json!({"type":"register","name":"a","cwd":"/w\u{202e}x","git_branch":"b\u{200b}","protocol_version":"5"});
        let Request::Register(r) = decode_request(line.to_string().as_bytes()).unwrap().request
        else {
            panic!()
        };
        assert_eq!(
            (r.cwd.as_str(), r.git_branch.as_str()),
            ("/w⟨U+202E⟩x", "b⟨U+200B⟩")
        );
    }

    #[test]
    fn the_words_of_a_push_path_are_short_and_visible() {
        let line = serde_json::json!({"type":"state","state":"idle","push":"none","push_detail":format!("\u{1b}[2J{}", "é".repeat(999))});
        let Request::State { push, .. } =
            decode_request(line.to_string().as_bytes()).unwrap().request
        else {
            panic!()
        };
        let detail = push.unwrap().detail.unwrap();
        assert!(detail.starts_with("⟨U+001B⟩[2J"), "{detail}");
        assert_eq!(detail.chars().count(), limits::DETAIL_CHARS);
        for without in [
            r#"{"type":"state","push_detail":"x"}"#,
            r#"{"type":"state","push":""}"#,
        ] {
            let request = decode_request(without.as_bytes()).unwrap().request;
            assert!(matches!(request, Request::State { push: None, .. }));
        }
        assert_eq!(refusal(r#"{"type":"state","push":1}"#).1, ErrorCode::BadMsg);
    }

    #[test]
    fn over_long_places_are_shortened() {
        let line = serde_json::json!({"type":"register","name":"a","cwd":"é".repeat(3000),"git_branch":"b".repeat(999),"protocol_version":"5"});
        let Request::Register(r) = decode_request(line.to_string().as_bytes()).unwrap().request
        else {
            panic!()
        };
        assert_eq!((r.cwd.chars().count(), r.git_branch.len()), (1024, 256));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = decode_request(&bytes);
        }

        #[test]
        fn any_object_is_answered(kind in "register|send|inbox|broadcast|reply|group_create|group_remove|group_history|pushed|import_group|pong|read|state", key in "name|to|text|limit|members|reason|msg_ids|req_id|since_id|push|push_detail", value in prop_oneof![Just("null".to_owned()), Just("[]".to_owned()), Just("{}".to_owned()), Just("-1".to_owned()), Just("1e999".to_owned()), Just("\"\\ud800\"".to_owned()), "\"[a-z]{0,5}\""]) {
            let _ = decode_request(format!(r#"{{"type":"{kind}","{key}":{value}}}"#).as_bytes());
        }

        #[test]
        fn replacing_surrogates_never_panics(text in "(\\\\|u|d8|dc|00|é|\"){0,30}") {
            let _ = replace_lone_surrogates(&text);
        }
    }
}
