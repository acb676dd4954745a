//! Rooms: made by the first join, gone with the last leave, nothing on disk. Each hub knows its
//! own sessions in a room; the directory tells of the others.

use crate::clients::Caller;
use crate::delivery::{Finish, Line, PushTo};
use crate::hub::{Done, Turn, refuse};
use crate::{Hub, Store};
use ecorelay_protocol::link::PublicationKind;
use ecorelay_protocol::{
    Address, ErrorCode, HubLine, MessageKind, Name, Push, header_line, limits,
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
        if !self.sessions.contains_key(&me) {
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
        let members = self.room_members(&room);
        if let Some(session) = self.sessions.get_mut(&me) {
            session.rooms.insert(room.clone());
        }
        self.status_changed(t);
        self.tell_where_it_is(t, caller, &me, &room);
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
        self.tell_where_it_is(t, caller, &me, &room);
        self.answer_ack(t, caller);
        Ok(())
    }

    /// Tells a session who is in a room now that a command has brought it in or out: it joins
    /// its rooms again after a break of its connection, and must know them for that.
    fn tell_where_it_is(
        &self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        me: &Name,
        room: &Name,
    ) {
        let Some(session) = self.sessions.get(me) else {
            return;
        };
        if session.conn == caller.conn || !self.extended(session.conn) {
            return;
        }
        let line = HubLine::RoomAck {
            room: room.to_string(),
            members: self.room_members(room),
            req_id: None,
        };
        t.effects.push(session.conn, line.encode().into(), None);
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
        let said = Said {
            room: &room,
            from: me.as_str(),
            text,
            msg_id: &msg_id,
        };
        let pending = self.new_pending();
        let outstanding = self.tell_room(t, &said, Some(&me), Some(pending));
        let elsewhere = self.count_elsewhere(&room);
        self.publish(t, &me, &msg_id, PublicationKind::Room(room.clone()), text);
        let finish = Finish::Room { room, elsewhere };
        self.await_pushes(t, caller, pending, outstanding, finish);
        Ok(())
    }

    /// Delivers what a session of another hub said in a room.
    pub(crate) fn room_said_elsewhere(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        room: &Name,
        from: &Address,
        text: &str,
        msg_id: &str,
    ) {
        if self.held_back(from).is_some() {
            // Rooms keep nothing.
            return;
        }
        // The id of something else that is being pushed would confirm that instead.
        let members = self.rooms.get(room).into_iter().flatten();
        let mut conns = members.filter_map(|name| Some(self.sessions.get(name)?.conn));
        let taken = conns.any(|conn| self.delivery.is_awaited(conn, msg_id));
        let scoped = match &from.hub {
            Some(hub) if taken => format!("{hub}.{msg_id}"),
            _ => msg_id.to_owned(),
        };
        let from = from.to_string();
        let said = Said {
            room,
            from: &from,
            text,
            msg_id: &scoped,
        };
        self.tell_room(t, &said, None, None);
    }

    /// Pushes a room message to the members on this hub, and returns to how many.
    fn tell_room(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        said: &Said<'_>,
        except: Option<&Name>,
        pending: Option<u64>,
    ) -> usize {
        let members = self.rooms.get(said.room).into_iter().flatten();
        let others: Vec<Name> = members.filter(|n| Some(*n) != except).cloned().collect();
        let mut line = Line::new(|extended| said.line(extended));
        let mut outstanding = 0;
        for to in &others {
            let push = PushTo {
                to,
                id: said.msg_id,
                key: None,
                reads: false,
                ask: None,
                pending,
                after: false,
            };
            outstanding += usize::from(self.push(t, &push, &mut line).is_ok());
            self.copy_text_to_watchers(
                t,
                to,
                MessageKind::Room,
                Some(said.room),
                said.from,
                said.text,
                said.msg_id,
            );
        }
        outstanding
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
}

/// One message in a room.
struct Said<'a> {
    room: &'a Name,
    /// `name`, or `name@hub`.
    from: &'a str,
    text: &'a str,
    msg_id: &'a str,
}

impl Said<'_> {
    fn line(&self, extended: bool) -> HubLine {
        let room = Some(self.room.as_str());
        let header = || header_line(MessageKind::Room, self.from, room, self.msg_id, false);
        HubLine::IncomingRoomMsg {
            room: self.room.to_string(),
            from: self.from.to_owned(),
            text: self.text.to_owned(),
            msg_id: self.msg_id.to_owned(),
            push: Push {
                header: extended.then(header),
                kind: extended.then_some(MessageKind::Room),
            },
        }
    }
}
