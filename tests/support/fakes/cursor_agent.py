#!/usr/bin/env python3
"""A stand-in for Cursor CLI, which needs an account. It does what public documentation and notes
say that an adapter relies on, and nothing else:

cursor-agent        a session: MCP servers of ~/.cursor/mcp.json; hooks of ~/.cursor/hooks.json,
                    of which one unknown event voids all; a Shell tool whose background commands
                    start a turn when a line of their output fits the pattern of notify_on_output
cursor-agent --version"""

import os
import re
import subprocess
import sys
import threading
import uuid

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import core

HOME = os.environ["HOME"]
EVENTS = {"sessionStart", "preToolUse", "postToolUse", "beforeSubmitPrompt", "stop"}
# How long a command goes on after the line that was waited for, before the model is told.
REST = 0.5


class Session:
    def __init__(self):
        self.id = str(uuid.uuid4())
        self.happened = core.typed_lines()
        self.env = {**os.environ, "CURSOR_CONVERSATION_ID": self.id}
        config = core.read_json(HOME + "/.cursor/mcp.json")
        tools = {"Shell": self.shell}
        self.conversation = core.Conversation(config, "cursor-vscode", os.environ, tools)
        hooks = core.read_json(HOME + "/.cursor/hooks.json")
        known = hooks.get("version") == 1 and set(hooks.get("hooks", {})) <= EVENTS
        self.hooks = hooks["hooks"] if known else {}
        self.loops = 0

    def answers_of_hooks(self, event, more):
        given = {"conversation_id": self.id, "hook_event_name": event, **more}
        given["workspace_roots"] = [os.getcwd()]
        for hook in self.hooks.get(event, []):
            if self.loops < hook.get("loop_limit", 5):
                yield core.run_hook(hook["command"], given, self.env)

    def shell(self, args):
        process = subprocess.Popen(
            args["command"], shell=True, stdout=subprocess.PIPE, text=True, env=self.env
        )
        if not args.get("is_background"):
            return process.communicate(timeout=core.PATIENCE)[0]
        pattern = re.compile(args["notify_on_output"]["pattern"])

        def watch():
            lines, told = [], None
            for line in process.stdout:
                lines.append(line)
                if pattern.search(line) and not told:
                    told = threading.Timer(REST, lambda: self.happened.put("".join(lines)))
                    told.start()

        threading.Thread(target=watch, daemon=True).start()
        return f"Running in the background (pid {process.pid})."

    def turn(self, text):
        """Runs a turn; returns what is to be submitted after it."""
        self.conversation.hear(text)
        while True:
            part = self.conversation.ask()
            if "functionCall" not in part:
                break
            text = self.conversation.call(part)
            name = part["functionCall"]["name"]
            for answer in self.answers_of_hooks("postToolUse", {"tool_name": name}):
                text += "\n" + answer.get("additional_context", "")
            self.conversation.result(part, text)
        print(part["text"], flush=True)
        more = {"status": "completed", "loop_count": self.loops}
        answers = list(self.answers_of_hooks("stop", more))
        return "\n".join(filter(None, (answer.get("followup_message") for answer in answers)))

    def run(self):
        print("Cursor CLI (stand-in)", flush=True)
        for answer in self.answers_of_hooks("sessionStart", {}):
            self.conversation.hear(answer.get("additional_context", ""))
        while True:
            self.loops = 0
            text = core.wait_at_prompt(self.happened)
            while text:
                text = self.turn(text)
                self.loops += 1


if sys.argv[1:2] == ["--version"]:
    print("2026.09.10-fd3934a")
else:
    Session().run()
