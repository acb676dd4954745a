//! Edits of TOML. What is not edited stays as it is written.

use super::edit::EditError;
use super::json::named_ours;
use serde_json::{Map, Value};
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, Value as Toml};

/// Sets the value at a path; the text as it was where it is there already.
pub(super) fn set(text: &str, at: &[String], value: &Value) -> Result<String, EditError> {
    let document = parse(text)?;
    if lookup(&document, at).map(to_json).as_ref() == Some(value) {
        return Ok(text.to_owned());
    }
    check_way(&document, at)?;
    let wanted = with(to_json(document.as_item()), at, value.clone());
    // A table of its own goes to the end: nobody's comments stand between its lines then.
    let candidates = [
        appended(text, &document, at, value),
        edited(document, at, value),
    ];
    for candidate in candidates.into_iter().flatten() {
        if parse(&candidate).is_ok_and(|now| to_json(now.as_item()) == wanted) {
            return Ok(candidate);
        }
    }
    Err(EditError {
        line: None,
        message: format!(
            "\"{}\" cannot be set without changing other lines",
            at.join(".")
        ),
    })
}

/// Takes back what [`set`] did: the value that `original` has there comes back, or it goes, with
/// the tables on the way that `original` does not have and that hold nothing else.
pub(super) fn unset(
    text: &str,
    at: &[String],
    value: &Value,
    original: Option<&str>,
) -> Result<String, EditError> {
    let mut document = parse(text)?;
    let Some(now) = lookup(&document, at).map(to_json) else {
        return Ok(text.to_owned());
    };
    if now != *value && !named_ours(at) {
        return Ok(text.to_owned());
    }
    let original = original.and_then(|text| parse(text).ok());
    let before = original.as_ref().and_then(|document| lookup(document, at));
    match before {
        Some(before) if to_json(before) == now => return Ok(text.to_owned()),
        Some(before) => {
            let before = before.clone();
            if let Some(there) = lookup_mut(&mut document, at) {
                *there = before;
            }
        }
        None => {
            remove(&mut document, at);
            for depth in (1..at.len()).rev() {
                let way = &at[..depth];
                let made = original.as_ref().is_some_and(|o| lookup(o, way).is_none());
                let there = lookup(&document, way).and_then(Item::as_table_like);
                if !made || there.is_none_or(|table| !table.is_empty()) {
                    break;
                }
                remove(&mut document, way);
            }
        }
    }
    let mut after = document.to_string();
    if !text.ends_with('\n') && after.ends_with('\n') {
        after.pop();
    }
    Ok(after)
}

fn parse(text: &str) -> Result<DocumentMut, EditError> {
    text.parse().map_err(|e: toml_edit::TomlError| {
        let begin = e.span().map_or(0, |span| span.start);
        let head = text.as_bytes().get(..begin).unwrap_or_default();
        EditError {
            line: Some(head.iter().filter(|b| **b == b'\n').count() + 1),
            message: format!("it is not valid TOML: {}", e.message().replace('\n', ", ")),
        }
    })
}

/// Checks that everything on the way to a value is a table.
fn check_way(document: &DocumentMut, at: &[String]) -> Result<(), EditError> {
    for depth in 1..at.len() {
        match lookup(document, &at[..depth]) {
            None => return Ok(()),
            Some(item) if item.is_table_like() => {}
            Some(_) => {
                return Err(EditError {
                    line: None,
                    message: format!("\"{}\" is not a table", at[..depth].join(".")),
                });
            }
        }
    }
    Ok(())
}

/// Returns the text with the value as tables of their own behind it, where that can be.
fn appended(text: &str, document: &DocumentMut, at: &[String], value: &Value) -> Option<String> {
    let way = &at[..at.len().checked_sub(1)?];
    let table_there = !way.is_empty() && lookup(document, way).is_some();
    if lookup(document, at).is_some() || (!value.is_object() && (table_there || way.is_empty())) {
        return None;
    }
    let mut added = DocumentMut::new();
    put(added.as_item_mut(), at, value);
    let mut out = text.to_owned();
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
    if !out.trim().is_empty() && !out.ends_with("\n\n") {
        out.push('\n');
    }
    out.push_str(added.to_string().trim_start());
    Some(out)
}

/// Returns the text with the value set where it belongs.
fn edited(mut document: DocumentMut, at: &[String], value: &Value) -> Option<String> {
    put(document.as_item_mut(), at, value);
    Some(document.to_string())
}

/// Sets a value below a table. Tables made on the way have no line of their own; below an inline
/// table everything is inline.
fn put(place: &mut Item, at: &[String], value: &Value) {
    let inline = !place.is_table();
    let Some((key, rest)) = at.split_first() else {
        return;
    };
    let Some(table) = place.as_table_like_mut() else {
        return;
    };
    if !rest.is_empty() {
        if table.get(key).is_none() {
            let mut made = Table::new();
            made.set_implicit(true);
            let made = match inline {
                true => Item::Value(Toml::InlineTable(InlineTable::new())),
                false => Item::Table(made),
            };
            table.insert(key, made);
        }
        if let Some(below) = table.get_mut(key) {
            put(below, rest, value);
        }
        return;
    }
    let new = match inline {
        true => Item::Value(inline_value(value)),
        false => item(value),
    };
    match (table.get_mut(key), new) {
        (Some(Item::Value(there)), Item::Value(mut new)) => {
            *new.decor_mut() = there.decor().clone();
            *there = new;
        }
        (Some(there), new) => *there = new,
        (None, new) => {
            table.insert(key, new);
        }
    }
}

fn item(value: &Value) -> Item {
    match value {
        Value::Object(fields) => {
            let mut table = Table::new();
            for (key, value) in fields {
                table.insert(key, item(value));
            }
            let only_tables = !table.is_empty() && table.iter().all(|(_, item)| item.is_table());
            table.set_implicit(only_tables);
            Item::Table(table)
        }
        value => Item::Value(inline_value(value)),
    }
}

fn inline_value(value: &Value) -> Toml {
    match value {
        Value::Null => Toml::from(""),
        Value::Bool(bool) => Toml::from(*bool),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Toml::from(whole),
            None => Toml::from(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => Toml::from(text.as_str()),
        Value::Array(items) => Toml::Array(items.iter().map(inline_value).collect::<Array>()),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(k, v)| (k.as_str(), inline_value(v)));
            Toml::InlineTable(fields.collect())
        }
    }
}

fn lookup<'a>(document: &'a DocumentMut, at: &[String]) -> Option<&'a Item> {
    let mut item = document.as_item();
    for key in at {
        item = item.as_table_like()?.get(key)?;
    }
    Some(item)
}

fn lookup_mut<'a>(document: &'a mut DocumentMut, at: &[String]) -> Option<&'a mut Item> {
    let mut item = document.as_item_mut();
    for key in at {
        item = item.as_table_like_mut()?.get_mut(key)?;
    }
    Some(item)
}

/// Removes what is at a path. Comments in front of a table belong to what stood before it as
/// often as to the table: they stay.
fn remove(document: &mut DocumentMut, at: &[String]) {
    let Some((key, way)) = at.split_last() else {
        return;
    };
    let gone = lookup_mut(document, way)
        .and_then(Item::as_table_like_mut)
        .and_then(|table| table.remove(key));
    let Some(Item::Table(gone)) = gone else {
        return;
    };
    let comments = gone
        .decor()
        .prefix()
        .and_then(|p| p.as_str())
        .unwrap_or_default();
    if !comments.contains('#') {
        return;
    }
    let comments = comments.trim_end_matches('\n').to_owned() + "\n";
    let position = gone.position();
    match next_table(document.as_table_mut(), position) {
        Some(next) => {
            let own = next
                .decor()
                .prefix()
                .and_then(|p| p.as_str())
                .unwrap_or("\n");
            let both = format!("{comments}{own}");
            next.decor_mut().set_prefix(both);
        }
        None => {
            let own = document.trailing().as_str().unwrap_or_default();
            let both = format!("{comments}{own}");
            document.set_trailing(both);
        }
    }
}

/// Returns the table that is written next after a position.
fn next_table(root: &mut Table, after: Option<isize>) -> Option<&mut Table> {
    fn nearest(table: &Table, after: isize) -> Option<isize> {
        let below = table.iter().filter_map(|(_, item)| match item {
            Item::Table(table) => {
                let own = table
                    .position()
                    .filter(|at| *at > after && !table.is_implicit());
                own.into_iter().chain(nearest(table, after)).min()
            }
            Item::ArrayOfTables(tables) => tables
                .iter()
                .filter_map(|table| {
                    let own = table.position().filter(|at| *at > after);
                    own.into_iter().chain(nearest(table, after)).min()
                })
                .min(),
            _ => None,
        });
        below.min()
    }
    fn at(table: &mut Table, position: isize) -> Option<&mut Table> {
        for (_, item) in table.iter_mut() {
            let tables: Vec<&mut Table> = match item {
                Item::Table(table) => vec![table],
                Item::ArrayOfTables(tables) => tables.iter_mut().collect(),
                _ => Vec::new(),
            };
            for table in tables {
                if table.position() == Some(position) && !table.is_implicit() {
                    return Some(table);
                }
                if let Some(found) = at(table, position) {
                    return Some(found);
                }
            }
        }
        None
    }
    let position = nearest(root, after?)?;
    at(root, position)
}

fn with(mut whole: Value, at: &[String], value: Value) -> Value {
    let mut place = &mut whole;
    for key in at {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        place = &mut place[key.as_str()];
    }
    *place = value;
    whole
}

/// Returns a value as JSON; a date becomes its text.
fn to_json(item: &Item) -> Value {
    match item {
        Item::None => Value::Null,
        Item::Value(value) => value_to_json(value),
        Item::Table(table) => table
            .iter()
            .map(|(key, item)| (key.to_owned(), to_json(item)))
            .collect::<Map<_, _>>()
            .into(),
        Item::ArrayOfTables(tables) => tables
            .iter()
            .map(|table| to_json(&Item::Table(table.clone())))
            .collect(),
    }
}

fn value_to_json(value: &Toml) -> Value {
    match value {
        Toml::String(text) => Value::from(text.value().as_str()),
        Toml::Integer(number) => Value::from(*number.value()),
        Toml::Float(number) => Value::from(*number.value()),
        Toml::Boolean(bool) => Value::from(*bool.value()),
        Toml::Datetime(date) => Value::from(date.value().to_string()),
        Toml::Array(items) => items.iter().map(value_to_json).collect(),
        Toml::InlineTable(table) => table
            .iter()
            .map(|(key, value)| (key.to_owned(), value_to_json(value)))
            .collect::<Map<_, _>>()
            .into(),
    }
}
