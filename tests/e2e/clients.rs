//! Real clients, unmodified, against the real binary: each a package from its registry at a fixed version
//! and a script in `tests/clients` that takes the HTTP and the native port and fails where an answer is wrong.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::server::Server;
use crate::harness::{TestFolder, free_port, oracle, skipped};

/// A server that also speaks the native protocol, and that protocol's port.
fn server(name: &str) -> (Server, u16, TestFolder) {
    let folder = TestFolder::new(name);
    let native = free_port();
    let environment = [("PUMPHOUSE_TCP_PORT", native.to_string())];
    let environment = environment.each_ref().map(|(n, v)| (*n, v.as_str()));
    let server = Server::start_with(&folder.0.join("data"), free_port(), &environment);
    (server, native, folder)
}

fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() {
        true => Ok(text),
        false => Err(format!("{text}{}", String::from_utf8_lossy(&output.stderr))),
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/clients").join(name)
}

/// A Python environment with `packages` (`name==version`), made once.
fn python(packages: &[&str]) -> Result<PathBuf, String> {
    let base = oracle::python()?;
    let name = packages[0].replace("==", "-");
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("client-{name}"));
    let (own, done) = (home.join("bin/python3"), home.join("installed"));
    // Made anew when other packages are asked for.
    if std::fs::read_to_string(&done).ok() != Some(packages.join("\n")) {
        run(Command::new(base).args(["-m", "venv"]).arg(&home))?;
        run(Command::new(&own).args(["-m", "pip", "install", "-q"]).args(packages))?;
        std::fs::write(&done, packages.join("\n")).map_err(|e| e.to_string())?;
    }
    Ok(own)
}

fn python_client(test: &str, packages: &[&str], file: &str) {
    let python = match python(packages) {
        Ok(python) => python,
        Err(why) => return skipped(test, &why),
    };
    let (server, native, _folder) = server(test);
    let ports = [server.port.to_string(), native.to_string()];
    match run(Command::new(python).arg(script(file)).args(ports)) {
        Ok(text) => eprintln!("{text}"),
        Err(text) => panic!("{text}"),
    }
}

#[test]
fn clickhouse_driver() {
    let packages = ["clickhouse-driver==0.2.11", "clickhouse-cityhash", "lz4", "zstd"];
    python_client("clickhouse_driver", &packages, "clickhouse_driver_test.py");
}

#[test]
fn clickhouse_connect() {
    let packages = ["clickhouse-connect==1.12.0", "pandas", "pyarrow", "brotli"];
    python_client("clickhouse_connect", &packages, "clickhouse_connect_test.py");
}

#[test]
fn asynch() {
    python_client(
        "asynch",
        &["asynch==0.4.0", "clickhouse-cityhash", "lz4", "zstd"],
        "asynch_test.py",
    );
}

#[test]
fn aiochclient() {
    let packages = ["aiochclient==2.7.0", "aiohttp"];
    python_client("aiochclient", &packages, "aiochclient_test.py");
}

#[test]
fn sqlalchemy() {
    let packages = ["sqlalchemy==2.1.9", "clickhouse-connect==1.12.0"];
    python_client("sqlalchemy", &packages, "sqlalchemy_test.py");
}

#[test]
fn ibis() {
    // A newer sqlglot writes statements that are not SQL from this ibis.
    let packages = [
        "ibis-framework[clickhouse]==12.0.0",
        "clickhouse-connect==1.12.0",
        "sqlglot==28.10.1",
        "pandas",
        "pyarrow",
        "pyarrow-hotfix",
        "rich",
        "packaging",
    ];
    python_client("ibis", &packages, "ibis_test.py");
}

#[test]
fn dbt() {
    let packages = [
        "dbt-clickhouse==1.10.3",
        "dbt-core==1.10.13",
        "clickhouse-connect==1.12.0",
        "clickhouse-driver==0.2.11",
    ];
    python_client("dbt", &packages, "dbt_test.py");
}

#[test]
fn senders() {
    let python = match oracle::python() {
        Ok(python) => python,
        Err(why) => return skipped("senders", &why),
    };
    let (server, _, _folder) = server("senders");
    let port = server.port.to_string();
    run(Command::new(python).arg(script("senders_test.py")).arg(port))
        .unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn java_jdbc() {
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("client-jdbc");
    let libs = home.join("lib/*").to_string_lossy().into_owned();
    let build = || -> Result<(), String> {
        std::fs::create_dir_all(&home).map_err(|e| e.to_string())?;
        for file in ["pom.xml", "Main.java"] {
            std::fs::copy(script("jdbc").join(file), home.join(file)).map_err(|e| e.to_string())?;
        }
        if !home.join("lib/clickhouse-jdbc-0.9.4.jar").exists() {
            let copy = ["-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"];
            run(Command::new("mvn").args(copy).current_dir(&home))?;
        }
        run(Command::new("javac").args(["-cp", &libs, "Main.java"]).current_dir(&home)).map(|_| ())
    };
    if let Err(why) = build() {
        return skipped("java_jdbc", &why);
    }
    let (server, _, _folder) = server("java_jdbc");
    let (class_path, port) = (format!(".:{libs}"), server.port.to_string());
    match run(Command::new("java").args(["-cp", &class_path, "Main", &port]).current_dir(&home)) {
        Ok(text) => eprintln!("{text}"),
        Err(text) => panic!("{text}"),
    }
}

#[test]
fn clickhouse_rs() {
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("client-rust");
    let build = || -> Result<(), String> {
        std::fs::create_dir_all(home.join("src")).map_err(|e| e.to_string())?;
        for file in ["Cargo.toml", "Cargo.lock", "src/main.rs"] {
            std::fs::copy(script("rust").join(file), home.join(file)).map_err(|e| e.to_string())?;
        }
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--locked", "--target-dir", "target"]).current_dir(&home);
        run(&mut cargo).map(|_| ())
    };
    if let Err(why) = build() {
        return skipped("clickhouse_rs", &why);
    }
    let (server, _, _folder) = server("clickhouse_rs");
    let program = home.join("target/debug/clickhouse-rs-test");
    match run(Command::new(program).arg(server.port.to_string())) {
        Ok(text) => eprintln!("{text}"),
        Err(text) => panic!("{text}"),
    }
}

#[test]
fn clickhouse_go() {
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("client-go");
    let build = || -> Result<PathBuf, String> {
        std::fs::create_dir_all(&home).map_err(|e| e.to_string())?;
        for file in ["main.go", "go.mod", "go.sum"] {
            std::fs::copy(script("go").join(file), home.join(file)).map_err(|e| e.to_string())?;
        }
        let program = home.join("clickhouse_go_test");
        run(Command::new("go").args(["build", "-o"]).arg(&program).arg(".").current_dir(&home))?;
        Ok(program)
    };
    let program = match build() {
        Ok(program) => program,
        Err(why) => return skipped("clickhouse_go", &why),
    };
    let (server, native, _folder) = server("clickhouse_go");
    match run(Command::new(program).args([server.port.to_string(), native.to_string()])) {
        Ok(text) => eprintln!("{text}"),
        Err(text) => panic!("{text}"),
    }
}

#[test]
fn clickhouse_js() {
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("client-js");
    let install = || -> Result<(), String> {
        std::fs::create_dir_all(&home).map_err(|e| e.to_string())?;
        std::fs::copy(script("clickhouse_js_test.mjs"), home.join("test.mjs"))
            .map_err(|e| e.to_string())?;
        let arguments = ["install", "--no-audit", "--no-fund", "@clickhouse/client@1.23.1"];
        run(Command::new("npm").args(arguments).current_dir(&home)).map(|_| ())
    };
    if let Err(why) = install() {
        return skipped("clickhouse_js", &why);
    }
    let (server, _, _folder) = server("clickhouse_js");
    let port = server.port.to_string();
    match run(Command::new("node").args(["test.mjs", &port]).current_dir(&home)) {
        Ok(text) => eprintln!("{text}"),
        Err(text) => panic!("{text}"),
    }
}

#[test]
fn debian_clickhouse_client() {
    let has = Command::new("clickhouse-client").arg("--version").output();
    if !has.is_ok_and(|o| o.status.success()) {
        // A package of 2018 that only Debian has: not a peer that every machine can be asked for.
        eprintln!("\n!!!!!!!! SKIPPED debian_clickhouse_client: it is not installed\n");
        return;
    }
    let (_server, native, _folder) = server("clickhouse_client");
    let ask = |sql: &str, data: &str| {
        use std::io::Write;
        let mut child = Command::new("clickhouse-client")
            .args(["--host", "127.0.0.1", "--port", &native.to_string(), "--query", sql])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs");
        child.stdin.take().expect("piped").write_all(data.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    ask("CREATE TABLE t (a UInt64, s String) ENGINE = MergeTree ORDER BY a", "");
    ask("INSERT INTO t FORMAT CSV", "7,\"x\"\n8,\"y\"\n");
    assert_eq!(ask("SELECT * FROM t ORDER BY a", ""), "7\tx\n8\ty\n");
    assert_eq!(ask("SELECT count() FROM numbers(1000000)", ""), "1000000\n");
}

#[test]
fn other_dialects_answer_as_their_databases() {
    let python = match python(&["duckdb==2.0.1"]) {
        Ok(python) => python,
        Err(why) => return skipped("other_dialects_answer_as_their_databases", &why),
    };
    let (server, _, _folder) = server("dialects");
    let compare = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/dialects/compare.py");
    let port = server.port.to_string();
    let text = run(Command::new(python).arg(compare).arg(port));
    eprintln!("{}", text.unwrap_or_else(|e| panic!("{e}")));
}
