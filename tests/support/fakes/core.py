"""What the stand-ins for assistants share: MCP servers over stdio, a model behind the Gemini API
(the tests' mock), hooks as shell commands, and a conversation that calls tools until it ends."""

import json
import os
import queue
import subprocess
import sys
import threading
import urllib.request

# No answer takes longer, or the test is over.
PATIENCE = 120


def read_json(path):
    """Returns what a JSON file says; nothing where there is none."""
    try:
        with open(path) as file:
            return json.load(file)
    except FileNotFoundError:
        return {}


class Server:
    """One MCP server and its tools."""

    def __init__(self, entry, client, env):
        self.process = subprocess.Popen(
            [entry["command"], *entry.get("args", [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**env, **entry.get("env", {})},
        )
        self.last_id = 0
        client = {"name": client, "version": "1.0.0"}
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}
        self.request("initialize", params)
        self.write({"jsonrpc": "2.0", "method": "notifications/initialized"})
        self.tools = [tool["name"] for tool in self.request("tools/list", {})["tools"]]

    def write(self, message):
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def request(self, method, params):
        self.last_id += 1
        self.write({"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params})
        for line in self.process.stdout:
            answer = json.loads(line)
            if answer.get("id") == self.last_id:
                return answer.get("result", {"content": [{"text": str(answer)}]})
        raise EOFError("the MCP server has ended")


class Conversation:
    """Words, tool calls and their results, until the model has nothing more to call."""

    def __init__(self, config, client, env, own_tools=()):
        self.tools = {}
        for name, entry in config.get("mcpServers", {}).items():
            server = Server(entry, client, env)
            for tool in server.tools:
                self.tools[f"mcp_{name}_{tool}"] = (server, tool)
        self.own_tools = dict(own_tools)
        self.contents = []

    def hear(self, text):
        self.contents.append({"role": "user", "parts": [{"text": text}]})

    def ask(self):
        """Returns the model's next part: words or a call."""
        names = [*self.tools, *self.own_tools]
        body = {
            "contents": self.contents,
            "tools": [{"functionDeclarations": [{"name": name} for name in names]}],
        }
        url = os.environ["GOOGLE_GEMINI_BASE_URL"] + "/v1beta/models/mock:generateContent"
        request = urllib.request.Request(url, json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            part = json.load(answer)["candidates"][0]["content"]["parts"][0]
        self.contents.append({"role": "model", "parts": [part]})
        return part

    def call(self, part):
        """Runs the tool of a call; returns its text."""
        name, args = part["functionCall"]["name"], part["functionCall"].get("args", {})
        if name in self.own_tools:
            return self.own_tools[name](args)
        server, tool = self.tools[name]
        result = server.request("tools/call", {"name": tool, "arguments": args})
        return "\n".join(item.get("text", "") for item in result["content"])

    def result(self, part, text):
        response = {"name": part["functionCall"]["name"], "response": {"output": text}}
        self.contents.append({"role": "user", "parts": [{"functionResponse": response}]})


def run_hook(command, given, env):
    """Runs a hook as a shell command; returns what it answers, nothing where it fails."""
    done = subprocess.run(
        command,
        shell=True,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        env=env,
        timeout=PATIENCE,
    )
    try:
        return json.loads(done.stdout or "{}") if done.returncode == 0 else {}
    except ValueError:
        return {}


def wait_at_prompt(happened):
    """Returns what happens next. The screen ends with a prompt that stands alone until then."""
    print(">", end=" ", flush=True)
    text = happened.get()
    print("(working)", flush=True)
    return text


def typed_lines():
    """Returns a queue of what happens, into which the lines typed at the terminal go."""
    happened = queue.Queue()

    def read():
        for line in sys.stdin:
            happened.put(line.rstrip("\n"))

    threading.Thread(target=read, daemon=True).start()
    return happened
