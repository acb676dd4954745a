//! Which way the next text goes: the best path that is there at this moment.

use super::way::{Way, absence, doubt};
use super::{About, Attachment, Paths, Verdict};
use ecorelay_adapters::{Assistant, Parcel, PushPath};
use ecorelay_protocol::PushResult;

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
    assistant: &'static Assistant,
    /// The client's version, where it says one.
    version: String,
    /// Why paths of the channel's own are not there: as was seen when it was last looked, or as
    /// the path has said when it last refused. One entry per path.
    hindered: Vec<(PushPath, String)>,
}

impl Routes {
    pub(crate) fn new(wanted: Vec<PushPath>, about: &About) -> Self {
        let client = about.client.peer.peer_info();
        let mut routes = Self {
            wanted,
            attached: Vec::new(),
            own: Some(Box::new(Paths::new(about))),
            assistant: about.client.assistant,
            version: client
                .map(|client| client.client_info.version.clone())
                .unwrap_or_default(),
            hindered: Vec::new(),
        };
        routes.look();
        routes
    }

    /// Looks anew what hinders the channel's own paths; what they said before is forgotten.
    pub(crate) fn look(&mut self) {
        let Some(own) = &self.own else { return };
        let hindrance = |path: &PushPath| Some((*path, own.hindrance(*path)?));
        self.hindered = self.wanted.iter().filter_map(hindrance).collect();
    }

    /// Takes note of what a path said of a text. One to whom somebody is attached is there
    /// whatever it refuses.
    pub(crate) fn said(&mut self, path: PushPath, verdict: &Verdict) {
        self.hindered.retain(|(hindered, _)| *hindered != path);
        if let (PushResult::Refused, Some(why), false) =
            (verdict.result, &verdict.detail, path.is_attached())
        {
            self.hindered.push((path, why.clone()));
        }
    }

    /// Returns the way that the next text would go, for people to see.
    pub(crate) fn way(&self) -> Way {
        let there = self.wanted.iter().copied().find(|path| match path {
            PushPath::None | PushPath::Hook => false,
            path if path.is_attached() => self.attachment(*path).is_some(),
            path => self.hindrance(*path).is_none(),
        });
        if let Some(path) = there {
            let doubt = (path == PushPath::Channel).then(|| doubt(self.assistant, &self.version));
            return Way {
                path,
                detail: doubt.flatten(),
            };
        }
        // The last resort has the best reason; what may attach to any session has none.
        let own = self.wanted.iter().rev().find_map(|p| self.hindrance(*p));
        let absent = || self.wanted.iter().find_map(|path| absence(*path));
        let mut why = own
            .or_else(absent)
            .unwrap_or("nothing can be pushed here")
            .to_owned();
        if self.wanted.contains(&PushPath::Hook) {
            why.push_str("; while it works, its hooks bring messages in");
        }
        Way::none(why)
    }

    fn hindrance(&self, path: PushPath) -> Option<&str> {
        let mut hindered = self.hindered.iter();
        hindered
            .find(|(hindered, _)| *hindered == path)
            .map(|(_, why)| why.as_str())
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
