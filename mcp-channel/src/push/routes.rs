//! Which way the next text goes: the best path that is there at this moment.

use super::{About, Attachment, Paths, Verdict};
use ecorelay_adapters::{Parcel, PushPath};

/// A way that is there.
#[derive(Debug)]
pub(crate) enum Route {
    /// To who attached.
    Attached(Attachment),
    /// By one of the channel's own paths, which come back with the verdict.
    Own(PushPath, Box<Paths>),
}

impl Route {
    pub(crate) fn path(&self) -> PushPath {
        match self {
            Self::Attached(attachment) => attachment.path,
            Self::Own(path, _) => *path,
        }
    }

    /// Brings a text to its end; returns the verdict and the channel's own paths, if it was one
    /// of those.
    pub(crate) async fn deliver(self, parcel: &Parcel) -> (Verdict, Option<Box<Paths>>) {
        match self {
            Self::Attached(mut attachment) => (attachment.deliver(parcel).await, None),
            Self::Own(path, mut paths) => {
                let verdict = paths.deliver(path, parcel).await;
                (verdict, Some(paths))
            }
        }
    }
}

/// The ways of one session.
#[derive(Debug)]
pub(crate) struct Routes {
    /// Best first; never empty.
    wanted: Vec<PushPath>,
    attached: Vec<Attachment>,
    /// `None` while one of them is being gone.
    own: Option<Box<Paths>>,
}

impl Routes {
    pub(crate) fn new(wanted: Vec<PushPath>, about: &About) -> Self {
        Self {
            wanted,
            attached: Vec::new(),
            own: Some(Box::new(Paths::new(about))),
        }
    }

    /// Takes note of one who attached. A waiter takes the place of the one before: it was
    /// started because that one is not believed to be there any more.
    pub(crate) fn attach(&mut self, attachment: Attachment) {
        if attachment.path == PushPath::Wait {
            self.attached.retain(|other| other.path != PushPath::Wait);
        }
        self.attached.push(attachment);
    }

    pub(crate) fn detach(&mut self, id: u64) {
        self.attached.retain(|attachment| attachment.id != id);
    }

    /// Gives the channel's own paths back.
    pub(crate) fn give_back(&mut self, own: Option<Box<Paths>>) {
        if own.is_some() {
            self.own = own;
        }
    }

    /// Returns the best way, its place among the wanted ones; only those from place `from` on
    /// are looked at. The channel's own paths go with it.
    pub(crate) fn next(&mut self, from: usize) -> Option<(usize, Route)> {
        let (place, path) = self.first(from)?;
        let route = match self.attachment(path) {
            Some(attachment) => Route::Attached(attachment.clone()),
            None => Route::Own(path, self.own.take()?),
        };
        Some((place, route))
    }

    /// Returns the best path that is there now.
    pub(crate) fn first(&self, from: usize) -> Option<(usize, PushPath)> {
        let mut wanted = self.wanted.iter().copied().enumerate().skip(from);
        wanted.find(|(_, path)| match path {
            PushPath::None | PushPath::Hook => false,
            path if path.is_attached() => self.attachment(*path).is_some(),
            _ => self.own.is_some(),
        })
    }

    /// Returns the path that would be gone if it were there.
    pub(crate) fn best(&self) -> PushPath {
        self.wanted.first().copied().unwrap_or(PushPath::None)
    }

    /// Returns whether a path may be there later although nobody comes and says so.
    pub(crate) fn may_come_back(&self) -> bool {
        self.wanted
            .iter()
            .any(|path| !path.is_attached() && *path != PushPath::None)
    }

    /// Returns the newest of a kind.
    fn attachment(&self, path: PushPath) -> Option<&Attachment> {
        let mut newest_first = self.attached.iter().rev();
        newest_first.find(|attachment| attachment.path == path)
    }
}
