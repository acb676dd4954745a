//! What the command line asks for.

/// How thoroughly to measure, and what.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    /// Everything once with few samples, and nothing is judged.
    pub(crate) quick: bool,
    only: Vec<String>,
}

impl Choice {
    /// Reads the arguments: `--quick` measures little; words pick sections.
    ///
    /// # Errors
    /// A sentence about an argument that is not known.
    pub(crate) fn from(arguments: &[String]) -> Result<Self, String> {
        let is = |flag: &str| arguments.iter().any(|argument| argument == flag);
        let unknown = |a: &&String| a.starts_with('-') && *a != "--quick" && *a != "--bench";
        if let Some(argument) = arguments.iter().find(unknown) {
            return Err(format!(
                "There is no argument \"{argument}\". Use --quick, or names of sections."
            ));
        }
        let words = arguments.iter().filter(|a| !a.starts_with('-'));
        Ok(Self {
            // Cargo says --bench for `cargo bench` only; `cargo test --benches` is to be fast.
            quick: is("--quick") || !is("--bench"),
            only: words.cloned().collect(),
        })
    }

    /// Returns whether a section is to be measured.
    pub(crate) fn wants(&self, section: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == section)
    }
}
