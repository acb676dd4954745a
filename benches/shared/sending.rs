//! Sending through a hub, one message at a time or with many in flight.

use super::Outcome;
use super::client::{Client, message_id, send_line};
use std::time::{Duration, Instant};

/// Messages before the clock counts.
const WARM_UP: usize = 20;

/// Repeats something and returns what each time gave, without the first few.
pub(crate) fn timed<T>(samples: usize, mut once: impl FnMut() -> Outcome<T>) -> Outcome<Vec<T>> {
    for _ in 0..WARM_UP {
        once()?;
    }
    (0..samples).map(|_| once()).collect()
}

/// Parts pairs.
pub(crate) fn split<A, B>(pairs: Vec<(A, B)>) -> (Vec<A>, Vec<B>) {
    pairs.into_iter().unzip()
}

/// Sends to a session that confirms at once; returns the times until it has the message and until
/// the sender has its answer.
pub(crate) fn exchange(
    sender: &mut Client,
    receiver: &mut Client,
    to: &str,
    text: &str,
) -> Outcome<(Duration, Duration)> {
    let id = message_id();
    let line = send_line(to, &id, text);
    let began = Instant::now();
    sender.write(&line)?;
    receiver.expect("incoming_message")?;
    let pushed = began.elapsed();
    receiver.confirm(&id)?;
    sender.expect("send_ack")?;
    Ok((pushed, began.elapsed()))
}

/// Sends a line and returns the time until it is acknowledged.
pub(crate) fn acknowledged(sender: &mut Client, line: &str) -> Outcome<Duration> {
    let began = Instant::now();
    sender.write(line)?;
    sender.expect("send_ack")?;
    Ok(began.elapsed())
}

/// Writes the lines `make` gives, never more than `in_flight` unacknowledged; returns when all
/// are acknowledged. Acknowledgements that came together are followed by lines written together.
pub(crate) fn pipeline(
    session: &mut Client,
    messages: usize,
    in_flight: usize,
    make: impl Fn(usize) -> String,
) -> Outcome<()> {
    let (mut written, mut acked) = (0, 0);
    while acked < messages {
        let more = (acked + in_flight).min(messages);
        if more > written {
            let lines: String = (written..more).map(&make).collect();
            session.write(&lines)?;
            written = more;
        }
        session.expect("send_ack")?;
        acked += 1;
        while session.has_more() {
            session.expect("send_ack")?;
            acked += 1;
        }
    }
    Ok(())
}
