//! Plans on real files: what is changed, what is left alone, and that all of it comes back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ecorelay_adapters::{Edit, Installer, Plan, SetupError, Step};
use jsonc_parser::ParseOptions;
use jsonc_parser::cst::CstRootNode;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A home folder and the installer of one data directory in it.
struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.file(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).unwrap()
    }

    fn installer(&self) -> Installer {
        Installer::new(self.file("data"))
    }
}

fn plan(edits: Vec<(PathBuf, Edit)>) -> Plan {
    let step = |(file, edit)| Step {
        file,
        why: "it is tried",
        edit,
        consent: None,
    };
    Plan {
        steps: edits.into_iter().map(step).collect(),
        notes: Vec::new(),
    }
}

fn path(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

fn server() -> Value {
    json!({"command": "/opt/eco relay/ecorelay", "args": ["mcp", "--data-dir", "/d \"x\""], "env": {"A": "1"}})
}

/// What most assistants with JSON get: a server, an item of a list, a flag.
fn json_plan(file: &Path) -> Plan {
    let edit = |edit| (file.to_owned(), edit);
    plan(vec![
        edit(Edit::Json {
            at: path(&["mcpServers", "ecorelay"]),
            value: server(),
        }),
        edit(Edit::JsonItem {
            at: path(&["hooks", "Stop"]),
            value: json!({"command": "ecorelay hook"}),
            ours: "ecorelay".into(),
        }),
        edit(Edit::Json {
            at: path(&["flag"]),
            value: json!(true),
        }),
    ])
}

fn toml_plan(file: &Path) -> Plan {
    let edit = |keys: &[&str], value| {
        let at = path(keys);
        (file.to_owned(), Edit::Toml { at, value })
    };
    plan(vec![
        edit(&["mcp_servers", "ecorelay"], server()),
        edit(&["features", "relay"], json!(true)),
        edit(&["notify"], json!(["a", "b"])),
    ])
}

fn value_of(text: &str) -> Value {
    let text = text.trim_start_matches('\u{feff}');
    let root = CstRootNode::parse(text, &ParseOptions::default()).unwrap();
    root.to_serde_value().unwrap_or(json!({}))
}

#[test]
fn a_file_with_comments_keeps_them_and_comes_back() {
    let home = Home::new();
    let text = "{\n\t// who else is here\n\t\"mcpServers\": {\n\t\t\"a\": {\"command\": \"a\"} // not ours\n\t},\n\t\"z\": [1, 2,],\n}\n";
    home.write("settings.json", text);
    let plan = json_plan(&home.file("settings.json"));
    let installer = home.installer();
    let preview = installer.preview("x", &plan).unwrap();
    assert_eq!(
        home.read("settings.json"),
        text,
        "a preview changes nothing"
    );
    assert!(!home.file("data").exists());
    assert_eq!(installer.apply("x", &plan).unwrap(), preview);
    let after = home.read("settings.json");
    for kept in [
        "// who else is here",
        "// not ours",
        "\"z\": [1, 2,]",
        "\n\t\t\"ecorelay\": {\n",
    ] {
        assert!(after.contains(kept), "{kept}: {after}");
    }
    assert_eq!(installer.apply("x", &plan).unwrap(), [], "twice is once");
    assert_eq!(installer.recorded().unwrap(), ["x"]);
    installer.undo("x", &plan).unwrap();
    assert_eq!(home.read("settings.json"), text);
    assert!(installer.recorded().unwrap().is_empty());
    assert!(!home.file("data/backups").exists());
    assert_eq!(installer.undo("x", &plan).unwrap(), []);
}

#[test]
fn files_and_folders_that_were_made_go_away() {
    let home = Home::new();
    let mut plan = json_plan(&home.file(".x/deep/settings.json"));
    plan.steps.push(Step {
        file: home.file(".x/plugins/ecorelay.js"),
        why: "it is tried",
        edit: Edit::File {
            text: "// ecorelay\n".into(),
        },
        consent: None,
    });
    let installer = home.installer();
    installer.apply("x", &plan).unwrap();
    assert_eq!(home.read(".x/plugins/ecorelay.js"), "// ecorelay\n");
    assert!(home.read(".x/deep/settings.json").ends_with("}\n"));
    installer.undo("x", &plan).unwrap();
    assert!(!home.file(".x").exists());

    installer.apply("x", &plan).unwrap();
    home.write(".x/other", "of somebody else");
    installer.undo("x", &plan).unwrap();
    assert_eq!(std::fs::read_dir(home.file(".x")).unwrap().count(), 1);
}

#[test]
fn of_a_file_that_was_changed_since_only_what_is_ours_goes() {
    let home = Home::new();
    home.write("s.json", "{\n  \"a\": 1,\n  \"mcpServers\": {}\n}\n");
    let plan = json_plan(&home.file("s.json"));
    let installer = home.installer();
    installer.apply("x", &plan).unwrap();
    let changed = home
        .read("s.json")
        .replace("\"a\": 1", "\"a\": 2, \"new\": [ 3 ]")
        .replace("\"A\": \"1\"", "\"A\": \"7\"");
    home.write("s.json", changed);
    installer.undo("x", &plan).unwrap();
    assert_eq!(
        home.read("s.json").split_whitespace().collect::<String>(),
        "{\"a\":2,\"new\":[3],\"mcpServers\":{}}"
    );

    // What was ours and was switched off by somebody is theirs now.
    home.write("s.json", "{}");
    installer.apply("x", &plan).unwrap();
    let changed = home
        .read("s.json")
        .replace("\"flag\": true", "\"flag\": false");
    home.write("s.json", changed);
    installer.undo("x", &plan).unwrap();
    assert_eq!(value_of(&home.read("s.json")), json!({"flag": false}));
}

#[test]
fn the_value_that_stood_there_comes_back() {
    let home = Home::new();
    let old = json!({"command": "ecorelay", "args": ["mcp"]});
    let before = json!({"mcpServers": {"ecorelay": old}, "b": 1});
    home.write("s.json", before.to_string());
    home.write("c.toml", "notify = [ \"mine\" ] # why\n");
    let mut both = json_plan(&home.file("s.json"));
    both.steps.extend(toml_plan(&home.file("c.toml")).steps);
    let installer = home.installer();
    installer.apply("x", &both).unwrap();
    let now = value_of(&home.read("s.json"));
    assert_eq!(now["mcpServers"]["ecorelay"], server());
    // Both are rewritten by their owners.
    home.write("s.json", now.to_string());
    let toml = home.read("c.toml") + "# more\n";
    home.write("c.toml", toml);
    installer.undo("x", &both).unwrap();
    assert_eq!(value_of(&home.read("s.json")), before);
    let toml = home.read("c.toml");
    assert!(toml.starts_with("notify = [ \"mine\" ] # why\n"), "{toml}");
    assert!(
        toml.ends_with("# more\n") && !toml.contains("ecorelay"),
        "{toml}"
    );
}

#[test]
fn a_new_version_of_the_plan_takes_the_place_of_the_old_one() {
    let home = Home::new();
    home.write("s.json", "{ \"a\": 1 }");
    let old = json_plan(&home.file("s.json"));
    let mut new = old.clone();
    new.steps.truncate(1);
    new.steps[0].edit = Edit::Json {
        at: path(&["mcpServers", "ecorelay"]),
        value: json!({"command": "elsewhere"}),
    };
    let installer = home.installer();
    installer.apply("x", &old).unwrap();
    installer.apply("x", &new).unwrap();
    assert_eq!(
        value_of(&home.read("s.json")),
        json!({"a": 1, "mcpServers": {"ecorelay": {"command": "elsewhere"}}})
    );
    installer.undo("x", &new).unwrap();
    assert_eq!(home.read("s.json"), "{ \"a\": 1 }");

    // The owner rewrote the file in between: what it wrote is the original now.
    installer.apply("x", &old).unwrap();
    let mut value = value_of(&home.read("s.json"));
    value["b"] = json!(2);
    home.write("s.json", value.to_string());
    installer.apply("x", &new).unwrap();
    installer.undo("x", &new).unwrap();
    assert_eq!(value_of(&home.read("s.json")), json!({"a": 1, "b": 2}));
}

#[test]
fn without_a_record_what_is_ours_is_recognised() {
    let home = Home::new();
    home.write("s.json", "{\"a\": 1}");
    home.write("c.toml", "# mine\n[a]\nb = 1\n");
    let mut both = json_plan(&home.file("s.json"));
    both.steps.extend(toml_plan(&home.file("c.toml")).steps);
    let installer = home.installer();
    installer.apply("x", &both).unwrap();
    std::fs::remove_dir_all(home.file("data")).unwrap();
    installer.undo("x", &both).unwrap();
    let left = value_of(&home.read("s.json"));
    assert_eq!(left["a"], 1);
    assert!(!left.to_string().contains("ecorelay"), "{left}");
    let left = home.read("c.toml");
    assert!(left.contains("# mine\n[a]\nb = 1\n"), "{left}");
    assert!(!left.contains("ecorelay"), "{left}");
}

#[test]
fn a_kill_between_record_and_files_leaves_nothing_to_undo() {
    let home = Home::new();
    home.write("s.json", "{\"a\": 1}");
    let plan = json_plan(&home.file("s.json"));
    let installer = home.installer();
    installer.apply("x", &plan).unwrap();
    // As if the file had not been written any more.
    home.write("s.json", "{\"a\": 1}");
    assert_eq!(installer.preview_undo("x", &plan).unwrap(), []);
    installer.apply("x", &plan).unwrap();
    installer.undo("x", &plan).unwrap();
    assert_eq!(home.read("s.json"), "{\"a\": 1}");
}

#[test]
fn a_broken_file_is_left_alone_and_the_line_is_said() {
    let home = Home::new();
    for (name, text, line) in [
        ("s.json", "{\n  \"a\": 1\n  \"b\": 2\n}", Some(2)),
        ("s.json", "{\"mcpServers\": []}", None),
        ("s.json", "[1]", None),
        ("s.json", "{\"a\": 'x'}", Some(1)),
        ("s.json", "{ a: 1 }", Some(1)),
        ("c.toml", "a = 1\nb = \n", Some(2)),
        ("c.toml", "a = 1\na = 2\n", Some(2)),
        ("c.toml", "mcp_servers = 7\n", None),
    ] {
        home.write(name, text);
        let file = home.file(name);
        let plan = match name {
            "s.json" => json_plan(&file),
            _ => toml_plan(&file),
        };
        let error = home.installer().apply("x", &plan).unwrap_err();
        let SetupError::Broken { line: found, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(*found, line, "{error}");
        assert!(error.to_string().contains(name), "{error}");
        assert_eq!(home.read(name), text);
    }
    home.write("s.json", b"{\n\"a\": \"\xff\"}");
    let error = home
        .installer()
        .apply("x", &json_plan(&home.file("s.json")));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("line 2: it is not UTF-8"), "{error}");
}

#[cfg(unix)]
#[test]
fn links_are_followed_modes_kept_and_read_only_files_left() {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let home = Home::new();
    let real = home.file("dotfiles/s.json");
    let set = |mode| std::fs::set_permissions(&real, Permissions::from_mode(mode)).unwrap();
    std::fs::create_dir(home.file("dotfiles")).unwrap();
    home.write("dotfiles/s.json", "{}");
    set(0o640);
    symlink("dotfiles/s.json", home.file("s.json")).unwrap();
    let plan = json_plan(&home.file("s.json"));
    let installer = home.installer();
    installer.apply("x", &plan).unwrap();
    assert!(home.file("s.json").is_symlink());
    assert!(home.read("dotfiles/s.json").contains("ecorelay"));
    let mode = std::fs::metadata(&real).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    installer.undo("x", &plan).unwrap();
    assert_eq!(home.read("dotfiles/s.json"), "{}");
    set(0o440);
    let error = installer.apply("x", &plan).unwrap_err();
    assert!(error.to_string().contains("read-only"), "{error}");
    std::fs::remove_file(&real).unwrap();
    installer.apply("x", &plan).unwrap();
    assert!(
        home.read("dotfiles/s.json").contains("ecorelay"),
        "through a link to nothing"
    );
}

#[test]
fn two_assistants_with_one_file_come_back_one_by_one() {
    let home = Home::new();
    home.write("s.json", "{ /* mine */ }\n");
    let file = home.file("s.json");
    let one = |name: &str| {
        let at = path(&["mcpServers", name]);
        let value = json!({"command": "ecorelay"});
        plan(vec![(file.clone(), Edit::Json { at, value })])
    };
    let installer = home.installer();
    installer.apply("a", &one("a")).unwrap();
    installer.apply("b", &one("b")).unwrap();
    installer.undo("b", &one("b")).unwrap();
    installer.undo("a", &one("a")).unwrap();
    assert_eq!(home.read("s.json"), "{ /* mine */ }\n");
    installer.apply("a", &one("a")).unwrap();
    installer.apply("b", &one("b")).unwrap();
    installer.undo("a", &one("a")).unwrap();
    assert_eq!(
        value_of(&home.read("s.json")),
        json!({"mcpServers": {"b": {"command": "ecorelay"}}})
    );
}

#[test]
fn a_damaged_record_is_put_aside_and_a_newer_one_left() {
    let home = Home::new();
    home.write("s.json", "{}");
    let plan = json_plan(&home.file("s.json"));
    let installer = home.installer();
    installer.apply("x", &plan).unwrap();
    home.write(
        "data/installed.json",
        "{\"version\": 2, \"assistants\": {}}",
    );
    let error = installer.undo("x", &plan).unwrap_err();
    assert!(matches!(error, SetupError::Newer { .. }), "{error}");
    for nonsense in [
        "",
        "{",
        "[]",
        "{\"version\": 1}",
        "{\"version\":1,\"assistants\":{\"x\":[7]}}",
    ] {
        home.write("data/installed.json", nonsense);
        installer.preview("x", &plan).unwrap();
        assert!(home.file("data/installed.json.broken").exists());
    }
    installer.undo("x", &plan).unwrap();
    assert!(!home.read("s.json").contains("ecorelay"));
}

/// White space and comments, in all places where they may stand.
fn trivia() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => Just(""),
        4 => Just(" "),
        3 => Just("\n"),
        2 => Just("\n  "),
        1 => Just("\t"),
        1 => Just(" // why, {\"not\": [really]}\n"),
        1 => Just("/* a, } ] */"),
    ];
    prop::collection::vec(piece, 0..3).prop_map(|pieces| pieces.concat())
}

fn list(items: Vec<(String, String, String)>, trailing: bool, inner: &str) -> String {
    let mut out = String::new();
    let last = items.len();
    for (at, (before, item, after)) in items.into_iter().enumerate() {
        out.push_str(&(before + &item + &after));
        if at + 1 < last || trailing {
            out.push(',');
        }
    }
    out + inner
}

fn object(value: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    let field = (trivia(), value, trivia(), trivia());
    let fields = prop::collection::vec(field, 0..4);
    (fields, any::<bool>(), trivia()).prop_map(|(fields, trailing, inner)| {
        let names = ["a", "mcpServers2", "é \\n", "flag2"];
        let fields = fields.into_iter().zip(names);
        let fields = fields.map(|((before, value, space, after), name)| {
            (before, format!("\"{name}\"{space}:{value}"), after)
        });
        format!("{{{}}}", list(fields.collect(), trailing, &inner))
    })
}

fn as_file((text, crlf, bom): (String, bool, bool)) -> String {
    let text = if crlf {
        text.replace('\n', "\r\n")
    } else {
        text
    };
    if bom { format!("\u{feff}{text}") } else { text }
}

fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "1",
        "-2.5e3",
        "true",
        "null",
        "\"a\\\"b\\u00e9\"",
        "\"//\"",
        "{}",
        "[]",
    ]);
    let value = leaf
        .prop_map(str::to_owned)
        .prop_recursive(3, 24, 4, |inner| {
            let items = prop::collection::vec((trivia(), inner.clone(), trivia()), 0..4);
            let array = (items, any::<bool>(), trivia()).prop_map(|(items, trailing, inner)| {
                format!("[{}]", list(items, trailing, &inner))
            });
            prop_oneof![array, object(inner)]
        });
    let text = (trivia(), object(value.boxed()), trivia()).prop_map(|(a, b, c)| a + &b + &c);
    (text, any::<bool>(), any::<bool>()).prop_map(as_file)
}

fn toml_text() -> impl Strategy<Value = String> {
    let line = prop::sample::select(vec![
        "# a comment",
        "",
        "  # indented",
        "K = 1",
        "K = \"a # b\" # why",
        "K = [ 1,\n  2, # two\n]",
        "K = { a = 1, b = { c = \"x\" } }",
        "K.sub.x = 1979-05-27T07:32:00Z",
        "K = '''\nraw\n[not.a.table]\n'''",
        "\"K quoted\" = 0x1F",
    ]);
    let body = prop::collection::vec(line, 0..5);
    let head = prop::sample::select(vec![
        "[K]",
        "[K.below] # why",
        "[[K]]",
        "[mcp_servers.K]",
        "\n[ K . \"x y\" ]",
    ]);
    let tables = prop::collection::vec((head, body.clone()), 0..4);
    let text =
        (body, tables, any::<bool>(), any::<bool>()).prop_map(|(root, tables, features, end)| {
            let mut lines: Vec<&str> = root;
            for (head, body) in &tables {
                lines.push(head);
                lines.extend(body);
            }
            if features {
                lines.extend(["[features]", "old = true # keep"]);
            }
            let lines = lines.iter().enumerate();
            let lines = lines.map(|(at, line)| line.replacen('K', &format!("k{at}"), 1));
            let mut text = lines.collect::<Vec<_>>().join("\n");
            if end {
                text.push('\n');
            }
            text
        });
    (text, any::<bool>(), any::<bool>()).prop_map(as_file)
}

/// Returns whether all lines of one text stand in the other in their order.
fn all_lines_in(text: &str, other: &str) -> bool {
    let mut others = other.trim_start_matches('\u{feff}').lines();
    let text = text.trim_start_matches('\u{feff}');
    text.lines().all(|line| others.any(|other| other == line))
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(96)
    })]

    #[test]
    fn json_comes_back_byte_for_byte(text in json_text()) {
        let home = Home::new();
        home.write("s.json", &text);
        let plan = json_plan(&home.file("s.json"));
        let installer = home.installer();
        installer.apply("x", &plan).unwrap();
        let after = home.read("s.json");
        let mut wanted = value_of(&text);
        wanted["mcpServers"] = json!({"ecorelay": server()});
        wanted["hooks"] = json!({"Stop": [{"command": "ecorelay hook"}]});
        wanted["flag"] = json!(true);
        prop_assert_eq!(value_of(&after), wanted);
        for comment in ["// why", "/* a"] {
            prop_assert_eq!(after.matches(comment).count(), text.matches(comment).count());
        }
        prop_assert_eq!(installer.preview("x", &plan).unwrap(), []);
        // Somebody writes into it, and takes that back again.
        home.write("s.json", format!("{after}\n// more\n"));
        let undone = installer.preview_undo("x", &plan).unwrap();
        let undone = String::from_utf8(undone[0].after.clone().unwrap()).unwrap();
        prop_assert_eq!(value_of(&undone), value_of(&text));
        prop_assert!(undone.trim_end().ends_with("// more"), "{}", undone);
        home.write("s.json", after);
        installer.undo("x", &plan).unwrap();
        prop_assert_eq!(home.read("s.json"), text);
    }

    #[test]
    fn toml_comes_back_byte_for_byte(text in toml_text()) {
        let home = Home::new();
        home.write("c.toml", &text);
        let plan = toml_plan(&home.file("c.toml"));
        let installer = home.installer();
        installer.apply("x", &plan).unwrap();
        let after = home.read("c.toml");
        prop_assert!(all_lines_in(&text, &after), "{}", after);
        prop_assert_eq!(installer.preview("x", &plan).unwrap(), []);
        home.write("c.toml", format!("{after}# more\n"));
        let undone = installer.preview_undo("x", &plan).unwrap();
        let undone = String::from_utf8(undone[0].after.clone().unwrap()).unwrap();
        // Empty lines next to ours may go with them.
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        prop_assert!(all_lines_in(&lines.join("\n"), &undone), "{}", undone);
        prop_assert!(!undone.contains("ecorelay") && undone.contains("# more"), "{}", undone);
        home.write("c.toml", after);
        installer.undo("x", &plan).unwrap();
        prop_assert_eq!(home.read("c.toml"), text);
    }

    #[test]
    fn nonsense_is_refused_or_edited_and_never_lost(
        text in "\\PC*|[\\[\\]{}\",:/*#=.\\n\\r a1\\\\]{0,40}"
    ) {
        let home = Home::new();
        for (name, plan) in [
            ("s.json", json_plan(&home.file("s.json"))),
            ("c.toml", toml_plan(&home.file("c.toml"))),
        ] {
            home.write(name, &text);
            let installer = home.installer();
            if installer.apply(name, &plan).is_ok() {
                installer.undo(name, &plan).unwrap();
            }
            prop_assert_eq!(&home.read(name), &text);
        }
    }
}
