//! The MCP server: what it says of itself, its tools, and the refusal of everything else.
//!
//! Nothing here waits for the hub but a tool call, so a client's start is never slowed down.

use crate::args;
use crate::push::Ready;
use crate::push::pusher::Event;
use crate::results::{Success, failure};
use crate::sessions::{Session, Sessions};
use crate::tools::{INSTRUCTIONS, Retry, TOOLS, Tool};
use ecorelay_adapters::Assistant;
use ecorelay_protocol::{ErrorCode, Refusal};
use rmcp::ErrorData;
use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestParams, CompleteResult,
    CustomRequest, CustomResult, ErrorCode as RpcCode, Implementation, InitializeRequestParams,
    InitializeResult, JsonObject, ListPromptsResult, ListResourceTemplatesResult,
    ListResourcesResult, ListToolsResult, PaginatedRequestParams, ProtocolVersion,
    ServerCapabilities, ServerConfig,
};
use rmcp::service::{NotificationContext, RequestContext, RoleServer};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::sync::Arc;
use tokio::sync::watch;

/// The MCP revisions spoken here, oldest first. Newer ones have no way to send a notification
/// unasked, so they are no use to a channel.
const VERSIONS: &[ProtocolVersion] = &[
    ProtocolVersion::V_2024_11_05,
    ProtocolVersion::V_2025_06_18,
    ProtocolVersion::V_2025_11_25,
];
/// Names the capability by which clients recognise a channel.
const CHANNEL_CAPABILITY: &str = "claude/channel";

/// The argument with which a plugin says which session calls; taken out before the arguments
/// are checked.
const SESSION_ARGUMENT: &str = "_ecorelay_session";
/// The key of a call's `_meta` with which a client says it (Codex).
const SESSION_META: &str = "threadId";
/// Longest id of a session, in characters; nobody makes longer ones.
const SESSION_ID_CHARS: usize = 256;

/// The service rmcp runs.
pub(crate) struct Server {
    sessions: Arc<Sessions>,
    /// Tells the pushers that the client may be sent to.
    ready: watch::Sender<Option<Ready>>,
}

impl Server {
    pub(crate) fn new(sessions: Arc<Sessions>, ready: watch::Sender<Option<Ready>>) -> Self {
        Self { sessions, ready }
    }

    async fn call(&self, name: &str, session: Option<&str>, given: JsonObject) -> CallToolResult {
        match self.try_call(name, session, given).await {
            Ok(success) => success.into_result(),
            Err(refusal) => failure(&refusal),
        }
    }

    async fn try_call(
        &self,
        name: &str,
        session: Option<&str>,
        given: JsonObject,
    ) -> Result<Success, Refusal> {
        let tool = Tool::named(name).ok_or_else(|| {
            Refusal::bad_args("There is no tool of this name here; tools/list has them all.")
        })?;
        let mut line = args::check(tool, given)?;
        let session = self.sessions.of(session)?;
        let link = &session.link;
        link.want();
        line.insert("type".into(), tool.line.into());
        if tool.retry == Retry::WithMessageId {
            line.insert(
                "msg_id".into(),
                // Ordered by time: ids side by side in the store are cheap to add.
                format!("m-{}", uuid::Uuid::now_v7()).into(),
            );
        }
        let line = Value::Object(line);
        if tool.line == "inbox" {
            let success = session.inbox.lock().await.fetch(link, line).await?;
            note_read(&session, &success);
            return Ok(success);
        }
        let answer = link.call(&line, tool.retry).await?;
        if let Some(name) = line["new_name"].as_str() {
            link.renamed(name);
            let name = name.to_owned();
            return Ok(Success::Renamed { ok: true, name });
        }
        let room = line["room"].as_str().unwrap_or_default();
        match tool.line {
            "join_room" => link.joined(room),
            "leave_room" => link.left(room),
            // What was answered was read.
            "reply" => session.tell_pusher(Event::Read {
                ids: line["ask_id"]
                    .as_str()
                    .map(str::to_owned)
                    .into_iter()
                    .collect(),
                remaining: usize::MAX,
            }),
            "group_history" => {
                let group = line["group"].as_str().unwrap_or_default().to_owned();
                session.tell_pusher(Event::ReadGroup(group));
            }
            _ => {}
        }
        Success::of(answer, &link.name()).ok_or_else(|| {
            Refusal::new(
                ErrorCode::Unexpected,
                "The hub gave an answer of another kind; it may be of another version: `ecorelay node restart`.",
            )
        })
    }
}

/// What the model has read needs no push any more.
fn note_read(session: &Session, success: &Success) {
    if let Success::Inbox {
        messages,
        remaining,
    } = success
    {
        // An ask was pushed under its own id.
        let asks = messages.iter().filter_map(|m| m.ask_id.clone());
        session.tell_pusher(Event::Read {
            ids: asks
                .chain(messages.iter().map(|m| m.msg_id.clone()))
                .collect(),
            remaining: *remaining,
        });
    }
}

/// Returns the session that calls, and the arguments without it.
fn split_session(
    mut given: Map<String, Value>,
    meta: &Map<String, Value>,
) -> (Option<String>, Map<String, Value>) {
    let argument = given.remove(SESSION_ARGUMENT);
    let id = argument.as_ref().or_else(|| meta.get(SESSION_META));
    let id = id.and_then(Value::as_str).map(str::trim);
    let usable = |id: &&str| !id.is_empty() && id.chars().count() <= SESSION_ID_CHARS;
    (id.filter(usable).map(str::to_owned), given)
}

fn no_such_method<T>(method: &'static str) -> Result<T, ErrorData> {
    Err(ErrorData::new(RpcCode::METHOD_NOT_FOUND, method, None))
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let mut capabilities = ServerCapabilities::default();
        capabilities.tools = Some(Default::default());
        capabilities.experimental =
            Some([(CHANNEL_CAPABILITY.to_owned(), JsonObject::new())].into());
        ServerConfig::new(capabilities)
            .with_protocol_version(ProtocolVersion::V_2025_11_25)
            .with_server_info(Implementation::new("ecorelay", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(VERSIONS)
    }

    async fn initialize(
        &self,
        mut request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        let result = self.negotiate_initialize(&request)?;
        let name = request.client_info.name.clone();
        let assistant = Assistant::of_client(&name);
        self.sessions.set_client(assistant, assistant.agent(&name));
        // What was agreed on counts, not what was asked for.
        request.protocol_version = result.protocol_version.clone();
        context.peer.set_peer_info(request);
        Ok(result)
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        self.ready.send_replace(Some(Ready {
            peer: context.peer,
            assistant: self.sessions.assistant(),
        }));
        self.sessions.started();
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = TOOLS.iter().map(Tool::listed).collect();
        Ok(ListToolsResult::with_all_items(tools))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let given = request.arguments.unwrap_or_default();
        let (session, given) = split_session(given, &context.meta);
        let result = self.call(&request.name, session.as_deref(), given).await;
        Ok(result.into())
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        no_such_method("prompts/list")
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        no_such_method("resources/list")
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        no_such_method("resources/templates/list")
    }

    async fn complete(
        &self,
        _request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        no_such_method("completion/complete")
    }

    /// Takes what rmcp could not read: a method nobody knows, or one of ours with parameters of
    /// the wrong shape.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let invalid =
            |message: &'static str| Err(ErrorData::new(RpcCode::INVALID_PARAMS, message, None));
        match request.method.as_str() {
            "tools/call" => {
                let params = request.params.unwrap_or_default();
                if !params["name"].is_string() {
                    return invalid("tools/call needs \"name\", a string.");
                }
                let refusal = Refusal::bad_args("\"arguments\" must be an object.");
                let mut result = serde_json::to_value(failure(&refusal)).unwrap_or_default();
                // Of a later revision; rmcp takes it out of the results it writes itself.
                if let Some(keys) = result.as_object_mut() {
                    keys.remove("resultType");
                }
                Ok(CustomResult::new(result))
            }
            "initialize" => invalid(
                "initialize needs \"protocolVersion\", \"capabilities\" and \"clientInfo\" with name and version.",
            ),
            "tools/list" | "ping" => invalid("The parameters must be an object."),
            _ => Err(ErrorData::new(
                RpcCode::METHOD_NOT_FOUND,
                request.method.chars().take(64).collect::<String>(),
                None,
            )),
        }
    }
}
