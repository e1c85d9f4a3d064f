//! A `PostgreSQL` server for one test.

use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::database;
use crate::store::DatabaseUrl;

/// A server in a temporary directory, reached through a socket there; it ends with this value.
#[derive(Debug)]
pub struct Postgres {
    directory: TempDir,
    programs: PathBuf,
    user: Option<User>,
    server: Child,
}

/// Whom the server runs as where the test is root's, which `PostgreSQL` refuses to be.
#[derive(Clone, Debug)]
struct User {
    id: u32,
    group: u32,
}

impl Postgres {
    /// Starts a server. Where there are no server programs it says so on standard error and returns none.
    #[must_use]
    pub fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            note(
                "skipped: PostgreSQL's initdb and postgres are neither in the PATH nor under /usr/lib/postgresql",
            );
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        let user = unprivileged(directory.path());
        let data = directory.path().join("data");

        let made = command(&programs, "initdb", user.as_ref())
            .args([
                "--username=app",
                "--auth=trust",
                "--encoding=UTF8",
                "--no-locale",
                "--no-sync",
                "--pgdata",
            ])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

        let server = command(&programs, "postgres", user.as_ref())
            .arg("-D")
            .arg(&data)
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-k"])
            .arg(directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut postgres = Self { directory, programs, user, server };
        postgres.wait();
        Some(postgres)
    }

    /// Its one database, empty at first.
    #[must_use]
    pub fn url(&self) -> DatabaseUrl {
        database(&format!("postgres:///postgres?user=app&host={}", self.directory.path().display()))
    }

    /// Waits until it listens. It may still refuse for being about to start, which sqlx takes for a reason to retry.
    fn wait(&mut self) {
        let socket = self.directory.path().join(".s.PGSQL.5432");
        let deadline = Instant::now() + Duration::from_secs(30);
        while UnixStream::connect(&socket).is_err() {
            assert!(self.server.try_wait().unwrap().is_none(), "postgres ended while it started");
            assert!(Instant::now() < deadline, "postgres was not ready in time");
            sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // pg_ctl lets it give its shared memory back, which a kill does not.
        let stopped = command(&self.programs, "pg_ctl", self.user.as_ref())
            .args(["stop", "--mode=immediate", "--silent", "--pgdata"])
            .arg(self.directory.path().join("data"))
            .status();
        if !stopped.is_ok_and(|status| status.success()) {
            let _ = self.server.kill();
        }
        let _ = self.server.wait();
    }
}

/// The directory that holds the server's programs: from the `PATH`, or Debian's, the newest version first.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut debian: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .collect();
    debian.sort();
    let mut directories = std::env::split_paths(&path).chain(debian.into_iter().rev());
    directories.find(|directory| directory.join("initdb").exists() && directory.join("postgres").exists())
}

/// Where this process is root's, gives `directory` to the user `postgres`, or else `nobody`.
fn unprivileged(directory: &Path) -> Option<User> {
    // A directory just made belongs to whom this process runs as.
    if directory.metadata().unwrap().uid() != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let user = ["postgres", "nobody"].iter().find_map(|name| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some(User { id: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
    });
    let user = user.unwrap();
    chown(directory, Some(user.id), Some(user.group)).unwrap();
    Some(user)
}

fn command(programs: &Path, name: &str, user: Option<&User>) -> Command {
    let mut command = Command::new(programs.join(name));
    command.current_dir("/");
    if let Some(user) = user {
        command.uid(user.id).gid(user.group);
    }
    command
}

#[expect(clippy::print_stderr, reason = "a test that tests nothing has to say so")]
fn note(message: &str) {
    eprintln!("{message}");
}
