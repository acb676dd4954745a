
// ---- Cline CLI: a plugin, in a process of node that Cline starts for each session beside the
// session's MCP servers. Cline also loads it once without a session, to list what it has.

/** The id of the session that this process is for. */
let sessionId = null;
/** Says something to the channel. */
let say = () => {};
/** Pushed texts that no run has begun with yet, each with its answer. */
let waiting = [];

/** Returns when the session began: its id starts with that time, in milliseconds. */
function begin() {
  const time = Number.parseInt(sessionId, 10);
  return time > 1e12 ? time : Date.now() - process.uptime() * 1000;
}

/** How long after its beginning a session counts as new, in milliseconds. */
const NEW = 60_000;

/**
 * Returns the name for a new session: its folder's. The channel cannot know it, because Cline's
 * hub starts all channels in one folder; later on the session may have been renamed.
 */
function nameOf(context) {
  const folder = context.workspaceInfo?.rootPath;
  return typeof folder === "string" && Date.now() - begin() < NEW ? basename(folder) : null;
}

/** Returns the words of a message, whatever they are wrapped in. */
function words(message) {
  const parts = Array.isArray(message?.content) ? message.content : [message?.content];
  return parts.map((part) => (typeof part === "string" ? part : (part?.text ?? ""))).join("\n");
}

export default {
  name: "ecorelay",
  manifest: { capabilities: ["hooks"] },

  setup(_api, context) {
    try {
      const id = context?.session?.sessionId;
      const host = globalThis.__clinePluginHost;
      if (typeof id !== "string" || sessionId || typeof host?.emitEvent !== "function") return;
      sessionId = id;
      const far = (channel) => Math.abs(channel.born - begin());
      say = follow({
        // The process that has started this one has also started the channel. Cline's hub starts
        // those of all its sessions: the one that is as old as this session is tried first, and
        // a channel that has its plugin already refuses a second one.
        clients: [process.ppid],
        order: (one, other) => far(one) - far(other),
        hello: {
          kind: "plugin",
          agent: "cline",
          session: id,
          name: nameOf(context),
          program_version: context.client?.version ?? null,
        },
        onPush: (push, answer, took) => {
          waiting.push({ text: push.text.trim(), answer });
          // Never "steer_message": that breaks off a request that is under way.
          host.emitEvent("queue_message", { sessionId: id, prompt: push.text });
          took();
        },
      });
    } catch {
      // Cline goes on without this plugin.
    }
  },

  hooks: {
    beforeRun(run) {
      try {
        say({ type: "state", state: "busy" });
        if (waiting.length === 0) return;
        const said = (run?.snapshot?.messages ?? []).filter((message) => message?.role === "user").map(words);
        waiting = waiting.filter(({ text, answer }) => {
          if (!said.some((words) => words.includes(text))) return true;
          answer("handed", "a run has begun with it");
          return false;
        });
      } catch {
        // The run matters more than its receipt.
      }
    },
    afterRun() {
      say({ type: "state", state: "idle" });
    },
  },
};
