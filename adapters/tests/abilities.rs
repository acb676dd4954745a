//! The table of what each assistant can do stands in the documentation as it is in the code.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ecorelay_adapters::abilities_table;
use std::path::PathBuf;

const BEGIN: &str = "<!-- abilities: begin -->\n";
const END: &str = "<!-- abilities: end -->\n";

fn pages() -> [PathBuf; 2] {
    ["README.md", "docs/assistants.md"].map(|page| {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        root.parent().unwrap().join(page)
    })
}

/// Returns the page with the table of the code between its marks.
fn with_table(page: &str) -> String {
    let begin = page.find(BEGIN).expect("the mark before the table") + BEGIN.len();
    let end = page.find(END).expect("the mark after the table");
    format!("{}{}{}", &page[..begin], abilities_table(), &page[end..])
}

#[test]
fn the_documentation_has_the_table_of_the_code() {
    for path in pages() {
        let page = std::fs::read_to_string(&path).unwrap();
        assert!(
            with_table(&page) == page,
            "{} has another table. To write that of the code: cargo test -p ecorelay-adapters --test abilities -- --ignored",
            path.display()
        );
    }
}

#[test]
#[ignore = "writes the table into the documentation"]
fn write_the_table() {
    for path in pages() {
        let page = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, with_table(&page)).unwrap();
    }
}
