#!/usr/bin/env python3
"""A stand-in for Antigravity CLI, which needs an account. It does what public documentation and
notes say that an adapter relies on, and nothing else:

agy                 a session: MCP servers of ~/.gemini/config/mcp_config.json, hooks of
                    ~/.gemini/config/hooks.json, a log that names its port and its conversation,
                    a conversation only from the first words of its user on
agy agentapi send-message [--title=T] CONVERSATION TEXT
                    tells the session at ANTIGRAVITY_LS_ADDRESS something; what comes while it
                    works waits for the end of the turn
agy --version

FAKE_AGY_TOKEN=1 makes the session ask for ANTIGRAVITY_CSRF_TOKEN, which only hooks get."""

import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import core

HOME = os.environ["HOME"]
ROOT = HOME + "/.gemini/antigravity-cli"


def send_message(args):
    words = [arg for arg in args if not arg.startswith("--")]
    address = os.environ.get("ANTIGRAVITY_LS_ADDRESS")
    if not address:
        sys.exit("ANTIGRAVITY_LS_ADDRESS is not set")
    body = json.dumps({"conversation": words[0], "text": words[1]}).encode()
    token = os.environ.get("ANTIGRAVITY_CSRF_TOKEN", "")
    request = urllib.request.Request(f"http://{address}/", body, {"x-csrf-token": token})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            print(answer.read().decode())
    except urllib.error.HTTPError as error:
        sys.exit(f"error: {error.code} {error.read().decode()}")


class Session:
    def __init__(self):
        self.token = uuid.uuid4().hex if os.environ.get("FAKE_AGY_TOKEN") else ""
        self.conversation_id = None
        self.happened = core.typed_lines()
        session = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if self.headers.get("x-csrf-token", "") != session.token:
                    return self.say(403, "invalid CSRF token")
                if not session.conversation_id or body["conversation"] != session.conversation_id:
                    return self.say(404, "no such conversation")
                session.happened.put(body["text"])
                self.say(200, "{}")

            def say(self, code, text):
                self.send_response(code)
                self.end_headers()
                self.wfile.write(text.encode())

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.port = server.server_address[1]
        os.makedirs(ROOT + "/log", exist_ok=True)
        stamp = time.strftime("%Y%m%d_%H%M%S")
        self.log_file = open(f"{ROOT}/log/cli-{stamp}-{os.getpid()}.log", "w", buffering=1)
        self.log(f"server.go:1295] Starting language server process with pid {os.getpid()}")
        listens = "server.go:607] Language server listening on random port at"
        self.log(f"{listens} {self.port + 1} for HTTPS (gRPC)")
        self.log(f"{listens} {self.port} for HTTP")
        config = core.read_json(HOME + "/.gemini/config/mcp_config.json")
        self.conversation = core.Conversation(config, "antigravity-client", os.environ)
        # Each key is one set of hooks.
        self.hooks = core.read_json(HOME + "/.gemini/config/hooks.json").values()

    def log(self, words):
        self.log_file.write(time.strftime("I%m%d %H:%M:%S.000000 ") + f"{os.getpid()} {words}\n")

    def transcript(self, source, text):
        folder = f"{ROOT}/brain/{self.conversation_id}/.system_generated/logs"
        os.makedirs(folder, exist_ok=True)
        with open(folder + "/transcript.jsonl", "a") as file:
            file.write(json.dumps({"source": source, "content": text}) + "\n")

    def answers_of_hooks(self, event, more):
        env = {
            **os.environ,
            "ANTIGRAVITY_LS_ADDRESS": f"127.0.0.1:{self.port}",
            "ANTIGRAVITY_CONVERSATION_ID": self.conversation_id,
        }
        if self.token:
            env["ANTIGRAVITY_CSRF_TOKEN"] = self.token
        # The event's name is not in what a hook is given.
        given = {"conversationId": self.conversation_id, "workspacePaths": [os.getcwd()], **more}
        for hooks in self.hooks:
            for hook in hooks.get(event, []):
                yield core.run_hook(hook["command"], given, env)

    def turn(self, text):
        if not self.conversation_id:
            self.conversation_id = str(uuid.uuid4())
            self.log(f"stream.go:1] Starting conversation update stream for {self.conversation_id}")
        self.transcript("USER_EXPLICIT", text)
        self.conversation.hear(text)
        invocation = 0
        while True:
            for answer in self.answers_of_hooks("PreInvocation", {"invocationNum": invocation}):
                for step in answer.get("injectSteps", []):
                    self.conversation.hear(step["ephemeralMessage"])
            invocation += 1
            part = self.conversation.ask()
            if "functionCall" in part:
                self.conversation.result(part, self.conversation.call(part))
                continue
            self.transcript("MODEL", part["text"])
            print(part["text"], flush=True)
            goes_on = False
            for answer in self.answers_of_hooks("Stop", {"executionNum": 0, "fullyIdle": True}):
                if answer.get("decision") == "continue":
                    self.conversation.hear(answer["reason"])
                    goes_on = True
            if not goes_on:
                return

    def run(self):
        print("Antigravity CLI (stand-in)", flush=True)
        while True:
            self.turn(core.wait_at_prompt(self.happened))


if sys.argv[1:2] == ["--version"]:
    print("1.1.26")
elif sys.argv[1:3] == ["agentapi", "send-message"]:
    send_message(sys.argv[3:])
else:
    Session().run()
