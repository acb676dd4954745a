// EcoRelay: the part that every plugin of ours shares. It finds the channel of this session (the
// MCP server `ecorelay mcp` that the assistant has started) by its socket, and passes on what the
// channel has for the session. `ecorelay install` has put it here and replaces it; `ecorelay
// uninstall` takes it away.
//
// Nothing here throws, and nothing is printed: the screen is the assistant's.

import { readdirSync, readFileSync, statSync } from "node:fs";
import { connect } from "node:net";
import { homedir } from "node:os";
import { basename, join } from "node:path";

/** EcoRelay's data directory, where it is not the usual one. */
const DATA_DIR = "";
/** How often a missing channel is looked for, in milliseconds: at first, and after a while. */
const LOOK_SOON = 250;
const LOOK_LATER = 2000;
/** So many looks are soon ones: a channel starts within seconds of its session. */
const SOON_LOOKS = 240;
/** How long a channel may take to answer who attaches. */
const ATTACH_WITHIN = 5000;
/** The longest line that is read, in characters; a channel's are far shorter. */
const LINE_LIMIT = 4 * 1024 * 1024;

/** Returns the sockets of the channels that these processes have started. */
function channels(clients) {
  const folder = join(process.env.ECORELAY_DATA_DIR || DATA_DIR || join(homedir(), ".eco-relay"), "push");
  const found = [];
  try {
    for (const name of readdirSync(folder)) {
      const [, client, kind] = /^(\d+)-\d+\.(sock|path)$/.exec(name) ?? [];
      if (!clients.includes(Number(client))) continue;
      const file = join(folder, name);
      // A socket whose path would be too long stands elsewhere; a small file says where.
      const path = kind === "path" ? readFileSync(file, "utf8").trim() : file;
      found.push({ path, born: statSync(file).mtimeMs });
    }
  } catch {
    // No folder yet, or a channel that has just ended.
  }
  return found;
}

/**
 * Keeps a session attached to its channel for as long as this process runs.
 *
 * clients: process ids, one of which has started the channel.
 * order: compares two channels; the one to try first comes first.
 * hello: what is said first, without "type" and "version".
 * onPush: called with each push, a function that takes its result and a detail, and one to call
 *   where the session has it and the result comes later: it then goes to nobody else.
 *
 * Returns a function that sends the channel a line, if one is attached.
 */
function follow({ clients, order, hello, onPush }) {
  let attached = null;
  let looks = 0;

  const say = (line) => {
    try {
      attached?.write(JSON.stringify(line) + "\n");
    } catch {
      // The socket's own end is noticed below.
    }
  };

  /** Returns a promise of whether this channel has let us in, resolved when that is known. */
  const tryChannel = ({ path }) =>
    new Promise((resolve) => {
      const socket = connect(path);
      let text = "";
      const end = () => {
        clearTimeout(late);
        socket.destroy();
        resolve(false);
        if (attached === socket) {
          attached = null;
          looks = 0;
          later();
        }
      };
      const late = setTimeout(end, ATTACH_WITHIN);
      const hear = (line) => {
        if (line.type === "attached") {
          clearTimeout(late);
          attached = socket;
          resolve(true);
        } else if (line.type === "refused") {
          end();
        } else if (line.type === "push" && typeof line.text === "string") {
          // An answer that its channel no longer waits for is worth nothing.
          const answer = (words) => {
            if (attached === socket) say({ id: line.id, ...words });
          };
          onPush(
            line,
            (result, detail) => answer({ type: "pushed", result, detail }),
            () => answer({ type: "taken" }),
          );
        }
      };
      socket.setEncoding("utf8");
      socket.on("connect", () => socket.write(JSON.stringify({ type: "attach", version: 1, ...hello }) + "\n"));
      socket.on("data", (data) => {
        text += data;
        for (let at; (at = text.indexOf("\n")) >= 0; text = text.slice(at + 1)) {
          try {
            hear(JSON.parse(text.slice(0, at)));
          } catch {
            // Not for us to judge; the next line may be good.
          }
        }
        if (text.length > LINE_LIMIT) end();
      });
      socket.on("error", end);
      socket.on("close", end);
    });

  const look = async () => {
    for (const channel of channels(clients).sort(order)) {
      if (await tryChannel(channel)) return;
    }
    later();
  };
  const later = () => {
    looks += 1;
    setTimeout(() => look().catch(later), looks < SOON_LOOKS ? LOOK_SOON : LOOK_LATER);
  };
  look().catch(later);
  return say;
}
