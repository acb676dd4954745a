//! What each assistant can do, as a table for the documentation.

use crate::setups;

/// Returns the abilities of all assistants as a Markdown table.
pub fn abilities_table() -> String {
    let mut out = String::from(
        "| assistant | tools | message to an idle session | to a busy one | before the first turn | receipt | tried with |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for setup in setups() {
        let can = setup.abilities();
        let cells = [
            setup.title(),
            can.tools,
            can.idle_push,
            can.busy_push,
            can.cold_start,
            can.receipt,
            can.tested,
        ];
        let cells = cells.map(|cell| cell.replace('|', "\\|").replace('\n', " "));
        out.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    out
}
