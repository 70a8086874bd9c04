//! Child processes that never outlive the test program, not even when it is killed.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// A running child; killed with its whole process group on drop.
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts `command` with the arguments, environment and streams it has been given.
    pub fn start(command: Command) -> io::Result<Self> {
        let (answer, started) = channel();
        starter()
            .lock()
            .unwrap()
            .send((command, answer))
            .expect("the starter thread lives as long as the program");
        started
            .recv()
            .expect("the starter thread answers")
            .map(|child| Self { child })
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        let _ = kill(self.pid(), signal);
    }

    /// Sends `signal` to the process and all that it started.
    pub fn signal_group(&self, signal: Signal) {
        let _ = killpg(self.pid(), signal);
    }

    /// Waits for the end of the process; `None` when `limit` has passed first.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        let mut pause = Duration::from_micros(500);
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            if Instant::now() >= deadline {
                return None;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process id is an i32"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.signal_group(Signal::SIGKILL);
            self.signal(Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

/// Makes the command that runs `program` and dies with us: `setpriv` sets the parent-death signal.
pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
}

type Start = (Command, Sender<io::Result<Child>>);

/// The parent-death signal is sent when the *thread* that started the child ends (prctl(2)), and the
/// threads of tests end early; so one thread that never ends starts them all.
fn starter() -> &'static Mutex<Sender<Start>> {
    static STARTER: OnceLock<Mutex<Sender<Start>>> = OnceLock::new();
    STARTER.get_or_init(|| {
        let (starter, starts) = channel::<Start>();
        std::thread::Builder::new()
            .name("starter".into())
            .spawn(move || {
                for (mut command, answer) in starts {
                    let _ = answer.send(command.spawn());
                }
            })
            .expect("a thread can be started");
        Mutex::new(starter)
    })
}
