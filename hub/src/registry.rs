//! Names: who may have one, who holds it, what happens when two want the same.

use crate::clients::{Caller, Probe, Session, Version};
use crate::hub::{Done, Turn, refuse};
use crate::push_path::PushView;
use crate::{ConnId, Effect, Hub, Store, Write};
use ecorelay_protocol::{
    Address, ErrorCode, HubLine, Me, Name, PROTOCOL_V5, PROTOCOL_V6, PeerInfo, Refusal, Register,
    limits,
};
use std::collections::BTreeSet;

/// The highest suffix tried for a name that is taken.
const SUFFIXES: usize = 1_000;
/// How often every session is asked whether it is there, in ms.
const SWEEP_MS: u64 = 30_000;
/// A hub that looks at a probe later than this after its deadline, in ms, was held up (a slow
/// disk, a machine that slept) and may not have heard the holder's answer yet.
const HELD_UP_MS: u64 = 10;
/// A session that has not answered for this long is shown as unresponsive, in ms.
const UNRESPONSIVE_MS: u64 = 10_000;

impl Hub {
    pub(crate) fn register(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        register: Register,
    ) -> Done {
        let version = match register.protocol_version.as_str() {
            PROTOCOL_V5 => Version::V5,
            PROTOCOL_V6 => Version::V6,
            _ => {
                return refuse(
                    ErrorCode::ProtocolMismatch,
                    "This hub speaks the local protocol versions 5 and 6; update the client or the hub.",
                );
            }
        };
        let Some(conn) = self.conns.get_mut(&caller.conn) else {
            return Ok(());
        };
        let waits = self
            .probes
            .iter()
            .any(|probe| probe.caller.conn == caller.conn);
        if conn.session.is_some() || conn.attached.is_some() || waits {
            return refuse(
                ErrorCode::AlreadyRegistered,
                "This connection has registered before.",
            );
        }
        let name = Name::parse(&register.name, "The name")?;
        conn.version = Some(version);
        if register.attach {
            return self.attach(t, caller, name, &register);
        }
        if self.sessions.len() >= self.config.tunables.sessions {
            return refuse(
                ErrorCode::RateLimited,
                format!(
                    "This hub serves {} sessions already; end one first.",
                    self.sessions.len()
                ),
            );
        }
        self.claim(t, caller, name, register)
    }

    /// Lets a terminal command act for a name without becoming its live session: a terminal's,
    /// or one whose secret the command has, because it was started inside it.
    fn attach(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        name: Name,
        register: &Register,
    ) -> Done {
        let knows = |key: &Option<String>| key.is_some() && *key == register.session_key;
        if let Some(holder) = self.sessions.get(&name)
            && !holder.is_terminal()
            && !knows(&holder.key)
        {
            return refuse(
                ErrorCode::NameTaken,
                format!(
                    "A live {} session holds the name \"{name}\" and acts for itself. Choose another name with --as.",
                    holder.agent
                ),
            );
        }
        self.own_mailbox(t, &name)?;
        if let Some(conn) = self.conns.get_mut(&caller.conn) {
            conn.attached = Some(name.clone());
        }
        self.answer_registered(t, caller, &name);
        Ok(())
    }

    /// Gives the caller the name if it is free, asks its holder whether it is there if not.
    fn claim(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        name: Name,
        register: Register,
    ) -> Done {
        let base = Name::parse(&register.name, "The name")?;
        let mut name = name;
        for n in 2..=SUFFIXES {
            let Some(holder) = self.sessions.get(&name) else {
                return self.seat(t, caller, name, &register);
            };
            if register.session_key.is_some() && holder.key == register.session_key {
                let old = holder.conn;
                self.evict(t, old, "The same session registered again.");
                return self.seat(t, caller, name, &register);
            }
            if !self.probes.iter().any(|probe| probe.name == name) {
                let id = format!("probe-{}", self.ids.uuid());
                let line = HubLine::Ping { req_id: id.clone() };
                let holder = holder.conn;
                t.effects.push(holder, line.encode().into(), None);
                self.probes.push(Probe {
                    id,
                    name,
                    holder,
                    caller: caller.clone(),
                    register,
                    deadline: t.now + limits::PROBE_MS,
                    prolonged: false,
                });
                return Ok(());
            }
            if !register.suffix {
                break;
            }
            name = base.with_suffix(n);
        }
        Err(name_taken(&name).into())
    }

    /// Makes the caller the live session of a free name.
    fn seat(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        name: Name,
        register: &Register,
    ) -> Done {
        self.own_mailbox(t, &name)?;
        let Some(conn) = self.conns.get_mut(&caller.conn) else {
            return Ok(());
        };
        conn.session = Some(name.clone());
        let extended = conn.version == Some(Version::V6);
        let agent = register.agent.clone().unwrap_or_else(|| "unknown".into());
        self.sessions.insert(
            name.clone(),
            Session {
                conn: caller.conn,
                cwd: register.cwd.clone(),
                git_branch: register.git_branch.clone(),
                agent,
                state: register.state.clone().unwrap_or_default(),
                since: t.now,
                last_seen: t.now,
                rooms: BTreeSet::new(),
                key: register.session_key.clone(),
                lagging: false,
                missed: 0,
                unconfirmed: 0,
                pinged: None,
                unresponsive: false,
                push: PushView::new(register.push.clone(), t.now),
            },
        );
        self.answer_registered(t, caller, &name);
        self.status_changed(t);
        let replayed = if extended {
            self.replay(t, &name)
        } else {
            Ok(())
        };
        self.save_mailboxes(t)?;
        replayed
    }

    fn answer_registered(&mut self, t: &mut Turn<'_, impl Store>, caller: &Caller, name: &Name) {
        let v6 = self.extended(caller.conn);
        let me = v6.then(|| Me {
            hub_id: self.config.hub_id.to_string(),
            unread: self.mail.unread(name),
        });
        let name = v6.then(|| name.to_string());
        // The reference's ack to a registration carries no request id.
        let caller = if v6 {
            caller.clone()
        } else {
            Caller {
                req_id: None,
                ..caller.clone()
            }
        };
        self.answer(
            t,
            &caller,
            HubLine::Ack {
                me,
                name,
                req_id: None,
            },
        );
    }

    /// Takes the name from a session that is not there any more.
    fn evict(&mut self, t: &mut Turn<'_, impl Store>, conn: ConnId, why: &str) {
        if self.extended(conn) {
            let line = HubLine::Evicted {
                message: why.to_owned(),
            };
            t.effects.push(conn, line.encode().into(), None);
        }
        self.end_session(t, conn);
        t.effects.after.push(Effect::Close { conn });
    }

    /// The holder of a probed name is there: the newcomer gets another name or none.
    pub(crate) fn pong(&mut self, t: &mut Turn<'_, impl Store>, conn: ConnId, id: &str) {
        let Some(at) = self
            .probes
            .iter()
            .position(|p| p.id == id && p.holder == conn)
        else {
            return;
        };
        let probe = self.probes.remove(at);
        let result = if probe.register.suffix {
            self.claim_next(t, &probe)
        } else {
            Err(name_taken(&probe.name).into())
        };
        self.answer_late(t, &probe.caller, result);
    }

    /// Tries the next suffix after the name that turned out to be held.
    fn claim_next(&mut self, t: &mut Turn<'_, impl Store>, probe: &Probe) -> Done {
        let base = Name::parse(&probe.register.name, "The name")?;
        let tried = (2..=SUFFIXES).find(|n| base.with_suffix(*n) == probe.name);
        let from = if probe.name == base {
            2
        } else {
            tried.unwrap_or(SUFFIXES) + 1
        };
        for n in from..=SUFFIXES {
            let next = base.with_suffix(n);
            if self.probes.iter().any(|p| p.name == next) {
                continue;
            }
            return self.claim(t, &probe.caller, next, probe.register.clone());
        }
        Err(name_taken(&base).into())
    }

    /// Answers a registration that had to wait.
    fn answer_late(&mut self, t: &mut Turn<'_, impl Store>, caller: &Caller, result: Done) {
        if let Err(crate::hub::Fail::Refused(refusal)) = result {
            self.answer_refusal(t, caller, refusal, None);
        }
    }

    /// Gives names whose holder did not answer in time to those who asked for them. If the time
    /// went by while the hub was held up, the holder gets it once more.
    pub(crate) fn probe_timers(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        while let Some(at) = self.probes.iter().position(|p| p.deadline <= t.now) {
            let late = t.now - self.probes[at].deadline;
            if late > HELD_UP_MS && !self.probes[at].prolonged {
                self.probes[at].prolonged = true;
                self.probes[at].deadline = t.now + limits::PROBE_MS;
                continue;
            }
            let probe = self.probes.remove(at);
            let holder = self.sessions.get(&probe.name).map(|s| s.conn);
            let result = if holder == Some(probe.holder) {
                self.evict(
                    t,
                    probe.holder,
                    "It did not answer within 500 ms and a new session took its name.",
                );
                self.seat(t, &probe.caller, probe.name, &probe.register)
            } else {
                // It has another name now, or is gone; the name may be another's by now.
                self.claim(t, &probe.caller, probe.name, probe.register)
            };
            match result {
                Err(crate::hub::Fail::Store(error)) => return Err(error.into()),
                result => self.answer_late(t, &probe.caller, result),
            }
        }
        Ok(())
    }

    pub(crate) fn rename(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        new_name: &str,
    ) -> Done {
        let new = Name::parse(new_name, "\"new_name\"")?;
        let Some(old) = self.conns.get(&caller.conn).and_then(|c| c.session.clone()) else {
            return refuse(
                ErrorCode::NotRegistered,
                "Only a live session can be renamed; register first.",
            );
        };
        if new != old {
            if self.sessions.contains_key(&new) {
                return Err(name_taken(&new).into());
            }
            self.note_rename(caller.conn, old.clone(), new.clone());
            self.move_session(caller.conn, &old, &new);
            self.move_mailbox(t, &old, &new)?;
            self.move_memberships(t, &old, &new)?;
            let (old, new) = (Address::local(old), Address::local(new));
            self.write(t, Write::RenameAuthor { old, new })?;
            self.status_changed(t);
        }
        self.answer_ack(t, caller);
        Ok(())
    }

    /// Moves what lives in memory to the new name: the session itself and its rooms.
    pub(crate) fn move_session(&mut self, conn: ConnId, old: &Name, new: &Name) {
        let Some(session) = self.sessions.remove(old) else {
            return;
        };
        for room in &session.rooms {
            if let Some(members) = self.rooms.get_mut(room) {
                members.remove(old);
                members.insert(new.clone());
            }
        }
        self.sessions.insert(new.clone(), session);
        if let Some(conn) = self.conns.get_mut(&conn) {
            conn.session = Some(new.clone());
        }
    }

    pub(crate) fn list_peers(&mut self, t: &mut Turn<'_, impl Store>, caller: &Caller) -> Done {
        let extended = self.extended(caller.conn);
        let me = self.me(caller).ok();
        let mut peers: Vec<PeerInfo> = self
            .sessions
            .iter()
            .filter(|(name, _)| Some(*name) != me.as_ref())
            .map(|(name, s)| PeerInfo {
                name: name.to_string(),
                cwd: s.cwd.clone(),
                git_branch: s.git_branch.clone(),
                last_seen: s.last_seen,
                agent: extended.then(|| s.agent.clone()),
                hub: extended.then(|| self.config.hub_id.to_string()),
                state: extended.then(|| s.shown_state().to_owned()),
                push: s.push.path().filter(|_| extended).map(str::to_owned),
            })
            .collect();
        peers.extend(self.remote_peers(t.now, extended));
        self.answer(
            t,
            caller,
            HubLine::Peers {
                peers,
                req_id: None,
            },
        );
        Ok(())
    }

    /// Asks every session from time to time whether it is there. One that does not answer keeps
    /// its name, but is shown for what it is, and a newcomer can have the name.
    pub(crate) fn sweep(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        if self.sweep_due > t.now {
            return Ok(());
        }
        self.sweep_due = t.now + SWEEP_MS;
        let mut changed = false;
        for session in self.sessions.values_mut() {
            match session.pinged {
                Some(since) if t.now >= since + UNRESPONSIVE_MS => {
                    changed |= !std::mem::replace(&mut session.unresponsive, true);
                }
                Some(_) => {}
                None => {
                    session.pinged = Some(t.now);
                    let line = HubLine::Ping {
                        req_id: "sweep".into(),
                    };
                    t.effects.push(session.conn, line.encode().into(), None);
                }
            }
        }
        if changed {
            self.status_changed(t);
        }
        self.expire_awaiting(t)
    }
}

fn name_taken(name: &Name) -> Refusal {
    Refusal::new(
        ErrorCode::NameTaken,
        format!("A live session holds the name \"{name}\"; choose another."),
    )
}
