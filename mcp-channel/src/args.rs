//! Checking a tool's arguments before anything leaves this process: what is wrong is said at
//! once, in a sentence that names the argument.

use crate::tools::{Arg, Kind, Tool};
use ecorelay_protocol::limits::{
    ADDRESS_CHARS, GROUP_MEMBERS, ID_CHARS, REASON_CHARS, TEXT_BYTES, TEXT_UTF16,
};
use ecorelay_protocol::{Address, ErrorCode, Name, Refusal};
use serde_json::{Map, Value};

/// Returns the checked arguments of a call, names trimmed, unknown ones left out.
///
/// # Errors
/// `bad_args` for an argument that is missing, of the wrong type or out of range; `too_large`
/// for a text over its limit.
pub(crate) fn check(
    tool: &Tool,
    mut given: Map<String, Value>,
) -> Result<Map<String, Value>, Refusal> {
    let mut checked = Map::new();
    for arg in tool.args {
        match given.remove(arg.name) {
            None | Some(Value::Null) if arg.required => {
                return Err(Refusal::bad_args(format!(
                    "{} needs the argument \"{}\"{}.",
                    tool.name,
                    arg.name,
                    wanted(arg.kind)
                )));
            }
            None | Some(Value::Null) => {}
            Some(value) => {
                checked.insert(arg.name.into(), checked_value(arg, value)?);
            }
        }
    }
    Ok(checked)
}

fn wanted(kind: Kind) -> &'static str {
    match kind {
        Kind::Name | Kind::Address | Kind::Text | Kind::Id | Kind::Reason | Kind::Word(_) => {
            ", a string"
        }
        Kind::Addresses => ", an array of strings",
        Kind::Count(..) => ", a number",
        Kind::Flag(_) => ", true or false",
    }
}

fn checked_value(arg: &Arg, value: Value) -> Result<Value, Refusal> {
    let wrong_type = || {
        Refusal::bad_args(format!(
            "\"{}\" has the wrong type: it must be{}.",
            arg.name,
            wanted(arg.kind).trim_start_matches(',')
        ))
    };
    let what = format!("\"{}\"", arg.name);
    Ok(match (arg.kind, value) {
        (Kind::Name, Value::String(text)) => Name::parse(&text, &what)?.as_str().into(),
        (Kind::Address, Value::String(text)) => address(&text, &what)?.into(),
        (Kind::Addresses, Value::Array(items)) => {
            if items.len() > GROUP_MEMBERS {
                return Err(Refusal::bad_args(format!(
                    "{what} has {} entries; a group has at most {GROUP_MEMBERS} members.",
                    items.len()
                )));
            }
            let checked = items.iter().enumerate().map(|(at, item)| {
                let text = item.as_str().ok_or_else(wrong_type)?;
                Ok(address(text, &format!("{what}, entry {},", at + 1))?.into())
            });
            checked.collect::<Result<Vec<Value>, Refusal>>()?.into()
        }
        (Kind::Text, Value::String(text)) => checked_text(text, &what)?.into(),
        (Kind::Id, Value::String(text)) => {
            let text = text.trim();
            if text.is_empty() && !arg.required {
                return Err(Refusal::bad_args(format!(
                    "{what} is empty; leave it out instead."
                )));
            }
            bounded(text, 1, ID_CHARS, &what)?;
            text.into()
        }
        (Kind::Reason, Value::String(text)) => {
            bounded(text.trim(), 1, REASON_CHARS, &what)?;
            text.trim().into()
        }
        (Kind::Count(most, _), Value::Number(number)) => {
            // Fractions are cut off, as the reference does.
            let count = number.as_f64().unwrap_or(f64::NAN).trunc();
            if !(count >= 1.0 && count <= most as f64) {
                return Err(Refusal::bad_args(format!(
                    "{what} must be from 1 to {most}."
                )));
            }
            (count as u64).into()
        }
        (Kind::Flag(_), Value::Bool(flag)) => flag.into(),
        (Kind::Word(words), Value::String(text)) => {
            if !words.contains(&text.as_str()) {
                return Err(Refusal::bad_args(format!(
                    "{what} must be one of: {}.",
                    words.join(", ")
                )));
            }
            text.into()
        }
        _ => return Err(wrong_type()),
    })
}

fn address(text: &str, what: &str) -> Result<String, Refusal> {
    bounded(text.trim(), 1, ADDRESS_CHARS, what)?;
    Ok(Address::parse(text, what)?.to_string())
}

fn bounded(text: &str, least: usize, most: usize, what: &str) -> Result<(), Refusal> {
    let chars = text.chars().count();
    if (least..=most).contains(&chars) {
        return Ok(());
    }
    Err(Refusal::bad_args(format!(
        "{what} has {chars} characters; it must have {least} to {most}."
    )))
}

fn checked_text(text: String, what: &str) -> Result<String, Refusal> {
    // Bytes are never fewer than UTF-16 units, so short texts need no counting.
    let units = if text.len() <= TEXT_UTF16 {
        0
    } else {
        text.encode_utf16().count()
    };
    if units > TEXT_UTF16 || text.len() > TEXT_BYTES {
        return Err(Refusal::new(
            ErrorCode::TooLarge,
            format!(
                "{what} has {units} characters ({} bytes); the limit is {TEXT_UTF16} characters. Send it in parts, or put it in a file and send the path.",
                text.len()
            ),
        ));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::tools::TOOLS;
    use serde_json::json;

    fn call(tool: &str, args: Value) -> Result<Value, Refusal> {
        let Value::Object(args) = args else { panic!() };
        check(Tool::named(tool).unwrap(), args).map(Value::Object)
    }

    /// A value that the argument takes.
    fn good(kind: Kind) -> Value {
        match kind {
            Kind::Name => json!("api"),
            Kind::Address => json!("api@desk"),
            Kind::Addresses => json!(["api", "web@desk"]),
            Kind::Text | Kind::Id | Kind::Reason => json!("words"),
            Kind::Count(most, _) => json!(most),
            Kind::Flag(_) => json!(true),
            Kind::Word(words) => json!(words[1]),
        }
    }

    fn bad(kind: Kind) -> Vec<Value> {
        match kind {
            Kind::Name => vec![
                json!(""),
                json!("a b"),
                json!("a@b"),
                json!("x".repeat(65)),
                json!(5),
            ],
            Kind::Address => vec![
                json!(""),
                json!("a@"),
                json!("@b"),
                json!("a@b@c"),
                json!({}),
                json!("x".repeat(999)),
            ],
            Kind::Addresses => vec![
                json!("api"),
                json!([5]),
                json!(["a b"]),
                json!({}),
                json!(vec!["a"; 257]),
            ],
            Kind::Text => vec![
                json!(5),
                json!([]),
                json!({}),
                json!("x".repeat(TEXT_UTF16 + 1)),
            ],
            Kind::Id => vec![json!(""), json!("x".repeat(257)), json!(5)],
            Kind::Reason => vec![json!(""), json!("  "), json!("x".repeat(257)), json!(false)],
            Kind::Count(most, _) => {
                vec![
                    json!(0),
                    json!(-1),
                    json!(most + 1),
                    json!("3"),
                    json!(0.5),
                    json!(1e300),
                ]
            }
            Kind::Flag(_) => vec![json!("true"), json!(1), json!([])],
            Kind::Word(_) => vec![json!("world"), json!(""), json!(1)],
        }
    }

    #[test]
    fn every_argument_of_every_tool_takes_good_values_and_refuses_bad_ones() {
        for tool in &TOOLS {
            let all: Map<_, _> = tool
                .args
                .iter()
                .map(|arg| (arg.name.to_owned(), good(arg.kind)))
                .collect();
            assert_eq!(check(tool, all.clone()).unwrap(), all, "{}", tool.name);
            for arg in tool.args {
                for value in bad(arg.kind) {
                    let mut args = all.clone();
                    args.insert(arg.name.into(), value.clone());
                    let refusal = check(tool, args).unwrap_err();
                    let long_text = arg.kind == Kind::Text && value.is_string();
                    let code = if long_text {
                        ErrorCode::TooLarge
                    } else {
                        ErrorCode::BadArgs
                    };
                    assert_eq!(refusal.code, code, "{} {} {value}", tool.name, arg.name);
                    assert!(refusal.message.contains(arg.name), "{}", refusal.message);
                    assert!(refusal.message.ends_with('.'), "{}", refusal.message);
                }
                let mut args = all.clone();
                args.remove(arg.name);
                assert_eq!(check(tool, args.clone()).is_err(), arg.required);
                args.insert(arg.name.into(), Value::Null);
                assert_eq!(check(tool, args).is_err(), arg.required);
            }
        }
    }

    #[test]
    fn names_are_trimmed_and_unknown_arguments_left_out() {
        assert_eq!(
            call(
                "relay_rename",
                json!({"new_name": " api ", "colour": "red"})
            )
            .unwrap(),
            json!({"new_name": "api"})
        );
        assert_eq!(
            call("relay_inbox", json!({"limit": 2.9})).unwrap(),
            json!({"limit": 2})
        );
    }

    #[test]
    fn an_empty_text_is_a_text_and_the_longest_is_counted_in_utf16() {
        for text in [String::new(), "😀".repeat(TEXT_UTF16 / 2)] {
            assert!(call("relay_send", json!({"to": "a", "text": text})).is_ok());
        }
        let over = "😀".repeat(TEXT_UTF16 / 2 + 1);
        let refusal = call("relay_send", json!({"to": "a", "text": over})).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::TooLarge);
    }
}
