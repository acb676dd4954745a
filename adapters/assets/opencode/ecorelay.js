// EcoRelay in OpenCode: brings messages of other sessions into this one.
//
// OpenCode loads this file into its own process. The MCP server `ecorelay mcp`, a child of the
// same process, listens on a socket that carries this process's number; this file attaches to
// it, once for each conversation a person has here, and submits what it is given when that
// conversation is idle and shows no dialog. It also tells the MCP server, which all
// conversations share, whose tool call it gets.
//
// Nothing in here may throw into OpenCode, write to its screen or keep it from ending.

import fs from "node:fs"
import net from "node:net"
import os from "node:os"
import path from "node:path"
import { isMainThread } from "node:worker_threads"

// Set when this file is installed for a data directory of its own.
const DATA_DIR = null

// How the tools of our MCP server are called in OpenCode, and the argument that names a session.
const OUR_TOOLS = "ecorelay_"
const SESSION_ARGUMENT = "_ecorelay_session"
// How long a tool call may wait until OpenCode has written it down.
const WRITTEN_MS = 1000
// How often a socket is looked for while there is none, and a held text looked at again.
const LOOK_MS = 1000
// How often OpenCode is asked what it does while a text is held: an event may be lost.
const ASK_MS = 15000
// How long OpenCode may take to accept a prompt, and to show that it has begun with it.
const ANSWER_MS = 10000
const RECEIPT_MS = 15000
// The title of a conversation that has none yet.
const DEFAULT_TITLE = /^New session - /
// Bounds: conversations that are attached, texts held for one, sessions and message ids that
// are remembered, one line of the socket in characters.
const MOST_ATTACHED = 32
const MOST_HELD = 8
const MOST_KNOWN = 1000
const MOST_LINE = 8 * 1024 * 1024

export const EcoRelay = async ({ client, directory }) => {
  try {
    return hooks(client, directory)
  } catch {
    return {}
  }
}

function hooks(client, directory) {
  // What is known of each session: its parent, whether it is busy, open dialogs, and what the
  // person last used in it.
  const sessions = new Map()
  // One for each conversation; the first also stands for "no conversation yet".
  const attachments = []
  // Calls of our tools that OpenCode has written down, and who waits for one.
  const calls = new Map()
  // Texts that were submitted and not yet seen to begin.
  const submitted = []
  // Only the terminal interface shows a conversation that is begun for a message; it keeps its
  // plugins in a worker.
  const headless = isMainThread
  let ended = false

  const session = (id) => {
    let known = sessions.get(id)
    if (!known) {
      if (sessions.size >= MOST_KNOWN) sessions.delete(sessions.keys().next().value)
      sessions.set(id, (known = { parent: undefined, title: "", busy: false, dialogs: new Set(), used: {} }))
    }
    return known
  }

  // Returns a session of which parent, agent and model are known.
  const learn = async (id) => {
    const known = session(id)
    if (known.parent === undefined) {
      const { data } = (await within(client.session.get({ path: { id }, query: { directory } }), ANSWER_MS)) ?? {}
      if (data) {
        known.parent = data.parentID ?? null
        known.title ||= data.title ?? ""
      }
      if (!known.used.agent && data?.agent && data.model?.id) {
        const { providerID, id: modelID, variant } = data.model
        use(known, data.agent, { providerID, modelID, variant: variant === "default" ? undefined : variant })
      }
    }
    return known
  }
  // Notes what a person has chosen: a prompt without it would fall back to OpenCode's defaults.
  const use = (known, agent, { providerID, modelID, variant }) => {
    known.used = { agent, model: { providerID, modelID }, ...(variant ? { variant } : {}) }
  }

  // The conversation a session belongs to: agents at work for it have sessions of their own.
  const rootOf = async (id) => {
    for (let depth = 0; depth < 16; depth++) {
      const { parent } = await learn(id)
      if (!parent) return id
      id = parent
    }
    return id
  }
  const rootIfKnown = (id) => {
    for (let depth = 0; depth < 16 && sessions.get(id)?.parent; depth++) id = sessions.get(id).parent
    return id
  }

  const attach = (id) => {
    const attachment = { session: id, socket: null, attached: false, state: "", held: [], busy: false, done: new Set() }
    attachments.push(attachment)
    return attachment
  }
  const of = (id) => attachments.find((attachment) => attachment.session === id)

  // Makes sure that a conversation is attached; the first one takes the place kept for it.
  const adopt = (root) => {
    if (ended || of(root)) return
    const first = attachments[0]
    if (first.session === null) {
      first.session = root
      send(first, { type: "session", session: root, name: null })
    } else {
      if (attachments.length >= MOST_ATTACHED) forget(attachments[1])
      connect(attach(root))
    }
    changed(root)
  }

  // A conversation is over, and its peer with it; the first one's place is kept for the next.
  const forget = (attachment) => {
    const at = attachments.indexOf(attachment)
    if (at === 0) attachment.session = null
    else attachments.splice(at, 1)
    send(attachment, { type: "end" })
    attachment.socket?.end()
  }

  const send = (attachment, line) => {
    if (attachment.attached) attachment.socket.write(JSON.stringify(line) + "\n")
  }

  const connect = (attachment) => {
    const file = !attachment.socket && !ended && socketOf(directory)
    if (!file) return
    const socket = net.createConnection({ path: file })
    attachment.socket = socket
    socket.unref?.()
    let waiting = ""
    socket.setEncoding("utf8")
    socket.on("connect", () => {
      socket.write(
        JSON.stringify({
          type: "attach",
          version: 1,
          kind: "plugin",
          agent: "opencode",
          // The first one keeps the place of the process's own peer, whichever conversation has it.
          session: attachment === attachments[0] ? null : attachment.session,
          name: null,
          program_version: null,
        }) + "\n",
      )
    })
    socket.on("data", (text) => {
      waiting += text
      for (let end; (end = waiting.indexOf("\n")) >= 0; waiting = waiting.slice(end + 1)) {
        quietly(() => onLine(attachment, JSON.parse(waiting.slice(0, end))))
      }
      if (waiting.length > MOST_LINE) socket.destroy()
    })
    socket.on("error", () => {})
    socket.on("close", () => {
      if (attachment.socket !== socket) return
      // What was not submitted comes again over the next connection.
      Object.assign(attachment, { socket: null, attached: false, state: "", held: [] })
    })
  }

  const onLine = (attachment, line) => {
    if (line.type === "attached") {
      attachment.attached = true
      if (attachment === attachments[0] && attachment.session !== null) {
        send(attachment, { type: "session", session: attachment.session, name: null })
      }
      tellState(attachment)
    } else if (line.type === "push") {
      if (attachment.held.length >= MOST_HELD) {
        return send(attachment, { type: "pushed", id: line.id, result: "refused", detail: "too much waits for this session already" })
      }
      attachment.held.push(line)
      void pump(attachment)
    }
  }

  const stateOf = (root) => {
    const known = session(root)
    for (const [id, other] of sessions) {
      if (other.dialogs.size > 0 && rootIfKnown(id) === root) return "dialog"
    }
    return known.busy ? "busy" : "idle"
  }
  const tellState = (attachment) => {
    const state = attachment.session === null ? "idle" : stateOf(attachment.session)
    if (attachment.attached && attachment.state !== state) {
      attachment.state = state
      send(attachment, { type: "state", state })
    }
  }
  const changed = (root) => {
    const attachment = of(root)
    if (!attachment) return
    tellState(attachment)
    void pump(attachment)
  }

  const onStatus = (id, busy) => {
    const known = session(id)
    known.busy = busy
    // Who was interrupted at a dialog never answers it.
    if (!busy) for (const [one, other] of sessions) if (rootIfKnown(one) === id) other.dialogs.clear()
    changed(rootIfKnown(id))
  }
  let asked = 0
  const askStatus = async () => {
    if (Date.now() - asked < ASK_MS) return
    asked = Date.now()
    const { data } = (await within(client.session.status({ query: { directory } }), ANSWER_MS)) ?? {}
    if (!data) return
    for (const attachment of attachments) {
      const id = attachment.session
      const busy = (data[id]?.type ?? "idle") !== "idle"
      if (id !== null && attachment.held.length > 0 && !attachment.busy && !busy) onStatus(id, false)
    }
  }

  // Submits what is held, one text at a time, for as long as the conversation is idle.
  const pump = async (attachment) => {
    if (attachment.busy) return
    attachment.busy = true
    try {
      while (attachment.held.length > 0) {
        if (attachment.session !== null && stateOf(attachment.session) !== "idle") break
        const { socket } = attachment
        const push = attachment.held.shift()
        const verdict = await deliver(attachment, push)
        if (attachment.socket === socket) send(attachment, { type: "pushed", id: push.id, ...verdict })
      }
    } catch {
      // The next change of the conversation, or the next look, tries again.
    } finally {
      attachment.busy = false
    }
  }

  const deliver = async (attachment, push) => {
    const ids = Array.isArray(push.msg_ids) ? push.msg_ids : []
    // Pushed again by an MCP server that was started anew: once is enough.
    if (ids.length > 0 && ids.every((id) => attachment.done.has(id))) return { result: "handed", detail: "" }
    if (attachment.session === null) {
      if (headless) return { result: "refused", detail: "no conversation yet" }
      const begun = await begin()
      if (!begun) return { result: "refused", detail: "OpenCode could not begin a conversation" }
    }
    const id = attachment.session
    const known = session(id)
    const receipt = new Promise((resolve) => submitted.push({ id, text: push.text, resolve }))
    // Until OpenCode says so itself: the next text must wait.
    known.busy = true
    const answer = await within(
      client.session.promptAsync({
        path: { id },
        query: { directory },
        body: { ...known.used, parts: [{ type: "text", text: push.text }] },
      }),
      ANSWER_MS,
    )
    const seen = answer && !answer.error && (await within(receipt, RECEIPT_MS))
    const at = submitted.findIndex((one) => one.id === id && one.text === push.text)
    if (at >= 0) submitted.splice(at, 1)
    if (seen) {
      for (const one of ids) {
        if (attachment.done.size >= MOST_KNOWN) attachment.done.delete(attachment.done.values().next().value)
        attachment.done.add(one)
      }
      return { result: "handed", detail: "" }
    }
    known.busy = false
    if (answer?.error) return { result: "refused", detail: "OpenCode did not take the prompt" }
    return { result: "unknown", detail: "OpenCode has not shown that it began with the prompt" }
  }

  // Begins a conversation, because a message came before the person said anything, and shows it.
  const begin = async () => {
    const root =
      (await resumed(client, directory)) ??
      (await within(client.session.create({ query: { directory }, body: {} }), ANSWER_MS))?.data?.id
    if (!root) return false
    await learn(root)
    adopt(root)
    await within(
      client.tui.publish({
        query: { directory },
        body: { type: "tui.session.select", properties: { sessionID: root } },
      }),
      ANSWER_MS,
    )
    return true
  }

  attach(null)
  const timer = setInterval(() => {
    quietly(() => {
      for (const attachment of attachments) {
        connect(attachment)
        if (attachment.held.length > 0) void pump(attachment)
      }
      if (attachments.some(({ held }) => held.length > 0)) void askStatus().catch(() => {})
    })
  }, LOOK_MS)
  timer.unref?.()
  connect(attachments[0])

  const onEvent = {
    "session.created": ({ info }) => {
      Object.assign(session(info.id), { parent: info.parentID ?? null, title: info.title ?? "" })
      if (!info.parentID) adopt(info.id)
    },
    "session.deleted": ({ info }) => {
      sessions.delete(info.id)
      const attachment = of(info.id)
      if (attachment) forget(attachment)
    },
    "session.updated": ({ info }) => {
      const known = session(info.id)
      const before = known.title
      known.title = info.title ?? ""
      // The first title is OpenCode's own, and so is the one that replaces it; a later one is a
      // person's wish.
      const renamed = before && before !== known.title && !DEFAULT_TITLE.test(before)
      const attachment = renamed && of(info.id)
      if (attachment) send(attachment, { type: "session", session: info.id, name: known.title })
    },
    "session.status": ({ sessionID, status }) => onStatus(sessionID, status?.type !== "idle"),
    "message.part.updated": ({ part }) => {
      const ours = part.type === "tool" && part.tool.startsWith(OUR_TOOLS)
      if (ours && part.state?.status === "running") written(part.callID, true)
    },
    "permission.asked": ({ id, sessionID }) => dialog(sessionID, id, true),
    "permission.replied": ({ requestID, sessionID }) => dialog(sessionID, requestID, false),
    "question.asked": ({ id, sessionID }) => dialog(sessionID, id, true),
    "question.replied": ({ requestID, sessionID }) => dialog(sessionID, requestID, false),
    "question.rejected": ({ requestID, sessionID }) => dialog(sessionID, requestID, false),
  }
  // Gives a promise that is kept when OpenCode has written a tool call down; keeps it.
  const written = (call, now) => {
    if (!calls.has(call)) {
      if (calls.size >= MOST_KNOWN) calls.delete(calls.keys().next().value)
      const one = {}
      one.promise = new Promise((resolve) => (one.resolve = resolve))
      calls.set(call, one)
    }
    if (now) calls.get(call).resolve(true)
    return calls.get(call).promise
  }
  const dialog = (id, request, open) => {
    const { dialogs } = session(id)
    if (open) dialogs.add(request)
    else dialogs.delete(request)
    changed(rootIfKnown(id))
  }

  return {
    event: async ({ event }) => quietly(() => onEvent[event?.type]?.(event.properties)),
    // A prompt begins: one of ours, or one of the person's.
    "chat.message": async (input, output) =>
      quietly(async () => {
        const id = input.sessionID
        const { agent, model } = output.message ?? {}
        if (agent && model?.providerID) use(session(id), agent, model)
        const text = (output.parts ?? []).map((part) => part.text ?? "").join("")
        submitted.find((one) => one.id === id && one.text === text)?.resolve(true)
        adopt(await rootOf(id))
      }),
    "tool.execute.before": async (input, output) =>
      quietly(async () => {
        if (!input.tool.startsWith(OUR_TOOLS) || typeof output.args !== "object" || !output.args) return
        const root = await rootOf(input.sessionID)
        adopt(root)
        // Later, the argument would show on the screen and in what the model is told it did.
        await within(written(input.callID), WRITTEN_MS)
        output.args[SESSION_ARGUMENT] = root
      }),
    "tool.execute.after": async (input) =>
      quietly(() => {
        if (input.tool.startsWith(OUR_TOOLS) && input.args) delete input.args[SESSION_ARGUMENT]
      }),
    dispose: async () =>
      quietly(() => {
        ended = true
        clearInterval(timer)
        for (const attachment of attachments) attachment.socket?.destroy()
      }),
  }
}

// The conversation that OpenCode was told to open at its start, if it was.
async function resumed(client, directory) {
  // The interface runs in a worker, which is not told the words of the command line.
  const words = fs.existsSync("/proc/self/cmdline") ? fs.readFileSync("/proc/self/cmdline", "utf8").split("\0") : process.argv
  const at = words.findIndex((word) => word === "-s" || word === "--session")
  const id = at >= 0 ? words[at + 1] : words.find((word) => word.startsWith("--session="))?.slice(10)
  if (id) return id.startsWith("ses_") ? id : undefined
  if (!words.includes("-c") && !words.includes("--continue")) return undefined
  const { data } = (await within(client.session.list({ query: { directory } }), ANSWER_MS)) ?? {}
  const roots = (data ?? []).filter((one) => !one.parentID && one.directory === directory)
  return roots.sort((one, other) => other.time.updated - one.time.updated)[0]?.id
}

// The socket of our MCP server: a child of this process that was started in this folder; the
// newest one where the system does not tell the folder.
function socketOf(directory) {
  const folder = path.join(DATA_DIR ?? (process.env.ECORELAY_DATA_DIR || path.join(os.homedir(), ".eco-relay")), "push")
  const mine = []
  try {
    for (const name of fs.readdirSync(folder)) {
      const [, client, channel] = /^(\d+)-(\d+)\.sock$/.exec(name) ?? []
      if (Number(client) !== process.pid) continue
      const file = path.join(folder, name)
      mine.push({ file, cwd: really(`/proc/${channel}/cwd`), since: fs.statSync(file).mtimeMs })
    }
  } catch {
    // No channel has run yet, or one ends just now.
  }
  mine.sort((one, other) => other.since - one.since)
  if (fs.existsSync("/proc/self")) return mine.find(({ cwd }) => cwd && cwd === really(directory))?.file
  return mine[0]?.file
}

function really(file) {
  try {
    return fs.realpathSync(file)
  } catch {
    return undefined
  }
}

// What a promise gives in time; nothing where it fails or is late.
function within(promise, ms) {
  let timer
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, ms)
    timer.unref?.()
  })
  return Promise.race([Promise.resolve(promise).catch(() => undefined), late]).finally(() => clearTimeout(timer))
}

function quietly(what) {
  try {
    return Promise.resolve(what()).catch(() => {})
  } catch {
    return Promise.resolve()
  }
}
