//! How the tools are listed to a client: schemas and hints, made from the table.

use crate::tools::{Arg, Effect, Kind, Tool};
use ecorelay_protocol::limits::{GROUP_MEMBERS, ID_CHARS, REASON_CHARS};
use rmcp::model::{JsonObject, Tool as McpTool, ToolAnnotations};
use serde_json::{Value, json};

impl Tool {
    /// Returns the tool as MCP lists it.
    pub(crate) fn listed(&self) -> McpTool {
        let mut properties = JsonObject::new();
        let mut needed = Vec::new();
        for arg in self.args {
            properties.insert(arg.name.into(), arg.schema());
            if arg.required {
                needed.push(Value::from(arg.name));
            }
        }
        let mut schema = JsonObject::new();
        schema.insert("type".into(), "object".into());
        schema.insert("properties".into(), properties.into());
        if !needed.is_empty() {
            schema.insert("required".into(), needed.into());
        }
        McpTool::new(self.name, self.about, schema).with_annotations(self.effect.annotations())
    }
}

impl Arg {
    fn schema(&self) -> Value {
        let mut schema = match self.kind {
            Kind::Name | Kind::Address | Kind::Text => json!({"type": "string"}),
            Kind::Id => json!({"type": "string", "minLength": 1, "maxLength": ID_CHARS}),
            Kind::Reason => json!({"type": "string", "minLength": 1, "maxLength": REASON_CHARS}),
            Kind::Addresses => {
                json!({"type": "array", "items": {"type": "string"}, "maxItems": GROUP_MEMBERS})
            }
            Kind::Count(most, default) => {
                let mut schema = json!({"type": "integer", "minimum": 1, "maximum": most});
                if let Some(default) = default {
                    schema["default"] = default.into();
                }
                schema
            }
            Kind::Flag(default) => json!({"type": "boolean", "default": default}),
            Kind::Word(words) => json!({"type": "string", "enum": words, "default": words[0]}),
        };
        if !self.about.is_empty() {
            schema["description"] = self.about.into();
        }
        schema
    }
}

impl Effect {
    fn annotations(self) -> ToolAnnotations {
        let hints = ToolAnnotations::new();
        match self {
            // What peers write comes from outside, so everything that carries their words or
            // reaches them is an open world.
            Self::Reads => hints.read_only(true).open_world(true),
            Self::SetsOwn => hints
                .read_only(false)
                .destructive(false)
                .idempotent(true)
                .open_world(true),
            Self::Takes => hints
                .read_only(false)
                .destructive(true)
                .idempotent(true)
                .open_world(true),
            Self::Speaks => hints
                .read_only(false)
                .destructive(false)
                .idempotent(false)
                .open_world(true),
            Self::Fetches => hints
                .read_only(false)
                .destructive(false)
                .idempotent(false)
                .open_world(true),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::tools::{INSTRUCTIONS, TOOLS};

    #[test]
    fn the_words_every_session_pays_for_are_few() {
        assert!(INSTRUCTIONS.chars().count() <= 1_600);
        let list: Vec<_> = TOOLS.iter().map(Tool::listed).collect();
        let size = serde_json::to_string(&list).unwrap().len();
        assert!(size < 8_000, "{size}");
        for tool in &TOOLS {
            assert!(tool.about.chars().count() <= 160, "{}", tool.name);
        }
    }

    #[test]
    fn a_tool_is_listed_with_its_schema_and_hints() {
        let tool = serde_json::to_value(Tool::named("relay_inbox").unwrap().listed()).unwrap();
        assert_eq!(
            tool,
            json!({
                "name": "relay_inbox",
                "description": Tool::named("relay_inbox").unwrap().about,
                "inputSchema": {"type": "object", "properties": {
                    "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
                    "since_id": {"type": "string", "minLength": 1, "maxLength": 256,
                        "description": "start after this msg_id, to read old messages again"},
                }},
                "annotations": {"readOnlyHint": false, "destructiveHint": false,
                    "idempotentHint": false, "openWorldHint": true},
            })
        );
    }

    #[test]
    fn only_tools_that_change_nothing_say_so() {
        let reading: Vec<_> = TOOLS
            .iter()
            .filter(|tool| tool.effect == Effect::Reads)
            .map(|tool| tool.name)
            .collect();
        assert_eq!(
            reading,
            [
                "relay_peers",
                "relay_rooms",
                "relay_group_list",
                "relay_group_info"
            ]
        );
    }
}
