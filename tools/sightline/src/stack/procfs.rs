//! Finds the process that listens on a port, through Linux's `/proc`.

use std::fs;
use std::path::Path;

use super::ports::ListeningProcess;
use crate::waterfall::text::escape;

/// Returns the process that listens on this TCP port. Returns `None` if no process listens on the port, if the process
/// belongs to another user, or if the system has no `/proc`.
pub(super) fn listening_process(port: u16) -> Option<ListeningProcess> {
    let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| listening_inodes(&table, port))
        .collect();
    if inodes.is_empty() {
        return None;
    }
    let sockets: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        has_socket(&entry.path(), &sockets)
            .then(|| ListeningProcess { pid, name: program_name(&entry.path()) })
    })
}

/// Returns the inodes of the sockets that listen on the port, from a table in the format of `proc_net(5)`.
fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    const LISTEN: &str = "0A";
    let suffix = format!(":{port:04X}");
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
            (local.ends_with(&suffix) && *state == LISTEN).then(|| (*inode).to_owned())
        })
        .collect()
}

/// Returns the file name of the program. The name is read from the process's file `cmdline`, because the file `comm`
/// contains at most fifteen characters of the name.
fn program_name(process: &Path) -> String {
    let command = fs::read(process.join("cmdline")).unwrap_or_default();
    let program = command.split(|byte| *byte == 0).next().unwrap_or_default();
    let program = String::from_utf8_lossy(program);
    let file = program.rsplit('/').next().unwrap_or_default();
    if file.is_empty() { "a process".to_owned() } else { escape(file).into_owned() }
}

/// Whether one of the open files of the process is one of these sockets.
fn has_socket(process: &Path, sockets: &[String]) -> bool {
    let Ok(descriptors) = fs::read_dir(process.join("fd")) else { return false };
    descriptors
        .flatten()
        .filter_map(|descriptor| fs::read_link(descriptor.path()).ok())
        .any(|target| sockets.iter().any(|socket| target.as_os_str() == socket.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_only_sockets_that_listen_on_the_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 41 1 0\n\
            1: 0100007F:1F90 0100007F:0001 01 00000000:00000000 00:00000000 00000000     0        0 42 1 0\n\
            2: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 43 1 0\n\
            broken\n";
        assert_eq!(listening_inodes(table, 0x1f90), ["41"]);
    }
}
