//! Edits of JSON, comments and trailing commas allowed. What is not edited stays as it is
//! written.

use super::edit::EditError;
use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstArray, CstInputValue, CstNode, CstObject, CstObjectProp, CstRootNode};
use serde_json::Value;

/// What assistants take for JSON: comments and trailing commas, and nothing looser.
const AS_WRITTEN: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_loose_object_property_names: false,
    allow_trailing_commas: true,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// Sets the value at a path; the text as it was where it is there already.
pub(super) fn set(text: &str, at: &[String], value: &Value) -> Result<String, EditError> {
    let root = parse(text)?;
    let (object, key) = parent(&root, at)?;
    match property(&object, key) {
        Some(there) if there.value().and_then(|v| v.to_serde_value()).as_ref() == Some(value) => {
            return Ok(text.to_owned());
        }
        Some(there) => there.set_value(input(value)),
        None => {
            object.append(key, input(value));
        }
    }
    Ok(written(&root, text))
}

/// Adds an element to the array at a path, in place of those of ours.
pub(super) fn set_item(
    text: &str,
    at: &[String],
    value: &Value,
    ours: &str,
) -> Result<String, EditError> {
    let root = parse(text)?;
    let (object, key) = parent(&root, at)?;
    let array = match property(&object, key) {
        None => object.append(key, CstInputValue::Array(Vec::new())),
        Some(there) => there,
    };
    let array = array.array_value().ok_or_else(|| odd(at, "a list"))?;
    let mut elements = our_elements(&array, ours).into_iter();
    match elements.next() {
        None => {
            array.append(input(value));
        }
        Some(first) => {
            let rest: Vec<CstNode> = elements.collect();
            if rest.is_empty() && first.to_serde_value().as_ref() == Some(value) {
                return Ok(text.to_owned());
            }
            for element in rest {
                element.remove();
            }
            replace(first, value);
        }
    }
    Ok(written(&root, text))
}

/// Takes back what [`set`] did: the value that `original` has there comes back, or it goes, with
/// the objects on the way that `original` does not have and that hold nothing else.
pub(super) fn unset(
    text: &str,
    at: &[String],
    value: &Value,
    original: Option<&str>,
) -> Result<String, EditError> {
    let root = parse(text)?;
    let Some(there) = find(&root, at) else {
        return Ok(text.to_owned());
    };
    let now = there.value().and_then(|v| v.to_serde_value());
    if now.as_ref() != Some(value) && !named_ours(at) {
        // Somebody has decided otherwise since.
        return Ok(text.to_owned());
    }
    let original = original.and_then(|text| parse(text).ok());
    let before = original
        .as_ref()
        .and_then(|root| find(root, at)?.value()?.to_serde_value());
    match before {
        Some(before) if now.as_ref() == Some(&before) => return Ok(text.to_owned()),
        Some(before) => there.set_value(input(&before)),
        None => {
            there.remove();
            remove_empty(&root, at, original.as_ref());
        }
    }
    Ok(written(&root, text))
}

/// Takes back what [`set_item`] did.
pub(super) fn unset_item(
    text: &str,
    at: &[String],
    ours: &str,
    original: Option<&str>,
) -> Result<String, EditError> {
    let root = parse(text)?;
    let Some(array) = find(&root, at).and_then(|there| there.array_value()) else {
        return Ok(text.to_owned());
    };
    let original = original.and_then(|text| parse(text).ok());
    let before: Vec<Value> = original
        .as_ref()
        .and_then(|root| find(root, at)?.array_value())
        .map(|array| our_elements(&array, ours))
        .unwrap_or_default()
        .iter()
        .filter_map(CstNode::to_serde_value)
        .collect();
    let now = our_elements(&array, ours);
    if now.is_empty() {
        return Ok(text.to_owned());
    }
    let mut before = before.iter();
    for element in now {
        match before.next() {
            Some(value) => replace(element, value),
            None => element.remove(),
        }
    }
    let had_array = original
        .as_ref()
        .is_some_and(|root| find(root, at).is_some());
    if original.is_some() && !had_array && array.elements().is_empty() {
        if let Some(there) = find(&root, at) {
            there.remove();
        }
        remove_empty(&root, at, original.as_ref());
    }
    Ok(written(&root, text))
}

/// Returns whether the text has nothing in it but an empty object.
pub(super) fn is_empty(text: &str) -> bool {
    let Ok(root) = parse(text) else { return false };
    let comments = text.contains("//") || text.contains("/*");
    let empty = match root.value() {
        None => true,
        Some(value) => value.as_object().is_some_and(|o| o.properties().is_empty()),
    };
    empty && !comments
}

fn parse(text: &str) -> Result<CstRootNode, EditError> {
    CstRootNode::parse(text, &AS_WRITTEN).map_err(|e| EditError {
        line: Some(e.line_display()),
        message: format!("it is not valid JSON: {}", e.kind()),
    })
}

/// Returns the text; a new file ends with a newline.
fn written(root: &CstRootNode, before: &str) -> String {
    let mut text = root.to_string();
    if before.trim().is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// Returns the object that holds the last key, with the objects on the way made.
fn parent<'a>(root: &CstRootNode, at: &'a [String]) -> Result<(CstObject, &'a str), EditError> {
    let (key, way) = at.split_last().ok_or_else(|| odd(at, "a setting"))?;
    let mut object = root
        .object_value_or_create()
        .ok_or_else(|| odd(&[], "an object"))?;
    for (depth, step) in way.iter().enumerate() {
        let there = match property(&object, step) {
            Some(there) => there,
            None => object.append(step, CstInputValue::Object(Vec::new())),
        };
        let value = there.object_value();
        object = value.ok_or_else(|| odd(&at[..=depth], "an object"))?;
    }
    Ok((object, key))
}

/// Returns the property at a path.
fn find(root: &CstRootNode, at: &[String]) -> Option<CstObjectProp> {
    let (key, way) = at.split_last()?;
    let mut object = root.object_value()?;
    for step in way {
        object = property(&object, step)?.object_value()?;
    }
    property(&object, key)
}

/// Returns the property that counts: of several with one name, readers take the last.
fn property(object: &CstObject, name: &str) -> Option<CstObjectProp> {
    let mut all = object.properties().into_iter().rev();
    all.find(|property| property.decoded_name().as_deref() == Some(name))
}

/// Removes the empty objects on the way to a value that `original` did not have.
fn remove_empty(root: &CstRootNode, at: &[String], original: Option<&CstRootNode>) {
    let Some(original) = original else { return };
    for depth in (1..at.len()).rev() {
        let way = &at[..depth];
        let made = find(original, way).is_none();
        match find(root, way) {
            Some(there)
                if made
                    && there
                        .object_value()
                        .is_some_and(|o| o.properties().is_empty()) =>
            {
                there.remove();
            }
            _ => return,
        }
    }
}

/// Returns whether a key on the way is called after this program: what stands there is ours,
/// whatever the assistant has made of it.
pub(super) fn named_ours(at: &[String]) -> bool {
    at.iter().any(|key| key == "ecorelay")
}

fn our_elements(array: &CstArray, ours: &str) -> Vec<CstNode> {
    let mut elements = array.elements();
    elements.retain(|element| {
        let value = element.to_serde_value();
        value.is_some_and(|value| mentions(&value, ours))
    });
    elements
}

/// Returns whether a text stands anywhere in a value.
fn mentions(value: &Value, text: &str) -> bool {
    match value {
        Value::String(string) => string.contains(text),
        Value::Array(items) => items.iter().any(|item| mentions(item, text)),
        Value::Object(fields) => fields
            .iter()
            .any(|(key, value)| key.contains(text) || mentions(value, text)),
        _ => false,
    }
}

fn replace(node: CstNode, value: &Value) {
    let value = input(value);
    // The node that takes its place is not needed.
    let _ = if let Some(node) = node.as_object() {
        node.replace_with(value)
    } else if let Some(node) = node.as_array() {
        node.replace_with(value)
    } else if let Some(node) = node.as_string_lit() {
        node.replace_with(value)
    } else {
        None
    };
}

fn input(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(bool) => CstInputValue::Bool(*bool),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(items) => CstInputValue::Array(items.iter().map(input).collect()),
        Value::Object(fields) => CstInputValue::Object(
            fields
                .iter()
                .map(|(key, value)| (key.clone(), input(value)))
                .collect(),
        ),
    }
}

fn odd(at: &[String], what: &str) -> EditError {
    let place = if at.is_empty() {
        "its outermost value".to_owned()
    } else {
        format!("\"{}\"", at.join("."))
    };
    EditError {
        line: None,
        message: format!("{place} is not {what}"),
    }
}
