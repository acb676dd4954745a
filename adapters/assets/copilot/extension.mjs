
// ---- GitHub Copilot CLI: an extension, a process of its own for each session, started anew
// after /clear. Standard output is its line to Copilot.

import { joinSession } from "@github/copilot-sdk/extension";

/** How many ids of messages that were seen too early are kept. */
const EARLY = 64;

try {
  const session = await joinSession({});
  /** Pushed messages that are not in the conversation yet: id of the message, its answer. */
  const waiting = new Map();
  /** Ids that were in the conversation before `send` had returned them. */
  const early = new Set();

  const say = follow({
    // Copilot starts its MCP servers itself, as it does this process.
    clients: [Number(process.env.COPILOT_EXTENSION_PARENT_PID), process.ppid],
    // The channels of this process's other sessions refuse us; the newest is the likeliest.
    order: (one, other) => other.born - one.born,
    hello: {
      kind: "plugin",
      agent: "copilot-cli",
      session: process.env.SESSION_ID ?? null,
      name: null,
      program_version: process.env.COPILOT_CLI_BINARY_VERSION ?? null,
    },
    onPush: async (push, answer) => {
      try {
        // In an idle session both start a turn. In a busy one "enqueue" waits for the end of the
        // turn, "immediate" joins it after the running tool; neither touches what the person is
        // typing, or a question that is open.
        const mode = push.urgent ? "immediate" : "enqueue";
        const id = await session.send({ prompt: push.text, mode });
        if (early.delete(id)) answer("handed", "in the conversation");
        else waiting.set(id, answer);
      } catch (error) {
        answer("refused", `Copilot did not take it: ${String(error?.message ?? error).slice(0, 200)}`);
      }
    },
  });

  session.on((event) => {
    if (event.type === "user.message") {
      const id = event.data?.messageId;
      const answer = waiting.get(id);
      if (answer) {
        waiting.delete(id);
        answer("handed", "in the conversation");
      } else if (id) {
        early.add(id);
        if (early.size > EARLY) early.delete(early.values().next().value);
      }
    } else if (event.type === "assistant.turn_start") {
      say({ type: "state", state: "busy" });
    } else if (event.type === "permission.requested") {
      say({ type: "state", state: "dialog" });
    } else if (event.type === "permission.completed") {
      say({ type: "state", state: "busy" });
    } else if (event.type === "session.idle") {
      say({ type: "state", state: "idle" });
    }
  });
} catch {
  // Without a session there is nothing to push into; Copilot goes on without this extension.
}
