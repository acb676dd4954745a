//! Rooms: made by the first join, gone with the last leave, nothing on disk.

use crate::clients::Caller;
use crate::delivery::{Finish, Line, PushTo};
use crate::hub::{Done, Turn, refuse};
use crate::{Hub, Store};
use ecorelay_protocol::{
    ErrorCode, HubLine, MessageKind, Name, Push, RoomSummary, header_line, limits,
};

impl Hub {
    pub(crate) fn join_room(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        room: &str,
    ) -> Done {
        let me = self.me(caller)?;
        let room = Name::parse(room, "\"room\"")?;
        if self.sessions.get(&me).is_none_or(|s| s.conn != caller.conn) {
            return refuse(
                ErrorCode::NotRegistered,
                "Only a live session can be in a room; register first.",
            );
        }
        if !self.rooms.contains_key(&room) && self.rooms.len() >= limits::ROOMS {
            return refuse(
                ErrorCode::BadArgs,
                format!(
                    "room_limit_reached (max {}): join a room that exists; relay_rooms lists them.",
                    limits::ROOMS
                ),
            );
        }
        let members = self.rooms.entry(room.clone()).or_default();
        if !members.contains(&me) && members.len() >= limits::ROOM_MEMBERS {
            return refuse(
                ErrorCode::BadArgs,
                format!(
                    "member_limit_reached (max {}): this room is full.",
                    limits::ROOM_MEMBERS
                ),
            );
        }
        members.insert(me.clone());
        let members = members.iter().map(ToString::to_string).collect();
        if let Some(session) = self.sessions.get_mut(&me) {
            session.rooms.insert(room.clone());
        }
        self.status_changed(t);
        self.answer(
            t,
            caller,
            HubLine::RoomAck {
                room: room.to_string(),
                members,
                req_id: None,
            },
        );
        Ok(())
    }

    pub(crate) fn leave_room(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        room: &str,
    ) -> Done {
        let me = self.me(caller)?;
        let room = Name::parse(room, "\"room\"")?;
        self.leave_quietly(&room, &me);
        if let Some(session) = self.sessions.get_mut(&me) {
            session.rooms.remove(&room);
        }
        self.status_changed(t);
        self.answer_ack(t, caller);
        Ok(())
    }

    /// Takes a name out of a room; the last one takes the room along.
    pub(crate) fn leave_quietly(&mut self, room: &Name, name: &Name) {
        if let Some(members) = self.rooms.get_mut(room) {
            members.remove(name);
            if members.is_empty() {
                self.rooms.remove(room);
            }
        }
    }

    pub(crate) fn room_message(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        room: &str,
        text: &str,
        msg_id: Option<String>,
    ) -> Done {
        let me = self.me(caller)?;
        let room = Name::parse(room, "\"room\"")?;
        let msg_id = msg_id
            .filter(|id| !id.is_empty())
            .unwrap_or_else(|| self.ids.uuid());
        if !self.budgets.fan_out(&me, t.now) {
            return refuse(
                ErrorCode::RateLimited,
                "You have sent very many messages in a short time; this one was not sent. Wait a little.",
            );
        }
        let others: Vec<Name> = self
            .rooms
            .get(&room)
            .map(|members| {
                members
                    .iter()
                    .filter(|name| **name != me)
                    .cloned()
                    .collect()
            })
            .unwrap_or_default();
        let pending = self.new_pending();
        let mut line = Line::new(|extended| room_line(&room, &me, text, &msg_id, extended));
        let mut outstanding = 0;
        for to in &others {
            let push = PushTo {
                to,
                id: &msg_id,
                key: None,
                reads: false,
                ask: None,
                pending: Some(pending),
                after: false,
            };
            outstanding += usize::from(self.push(t, &push, &mut line).is_ok());
            self.copy_text_to_watchers(
                t,
                to,
                MessageKind::Room,
                Some(&room),
                me.as_str(),
                text,
                &msg_id,
            );
        }
        self.await_pushes(t, caller, pending, outstanding, Finish::Room { room });
        Ok(())
    }

    pub(crate) fn list_rooms(&mut self, t: &mut Turn<'_, impl Store>, caller: &Caller) -> Done {
        let rooms = self.room_summaries();
        self.answer(
            t,
            caller,
            HubLine::RoomsList {
                rooms,
                req_id: None,
            },
        );
        Ok(())
    }

    pub(crate) fn room_summaries(&self) -> Vec<RoomSummary> {
        let summary = |(name, members): (&Name, &std::collections::BTreeSet<Name>)| RoomSummary {
            name: name.to_string(),
            members: members.iter().map(ToString::to_string).collect(),
        };
        self.rooms.iter().map(summary).collect()
    }
}

fn room_line(room: &Name, from: &Name, text: &str, msg_id: &str, extended: bool) -> HubLine {
    HubLine::IncomingRoomMsg {
        room: room.to_string(),
        from: from.to_string(),
        text: text.to_owned(),
        msg_id: msg_id.to_owned(),
        push: Push {
            header: extended.then(|| {
                header_line(
                    MessageKind::Room,
                    from.as_str(),
                    Some(room.as_str()),
                    msg_id,
                    false,
                )
            }),
            kind: extended.then_some(MessageKind::Room),
        },
    }
}
