//! How long an archive takes, compared with `git clone --depth 1` followed by `tar czf`. Not part of the suite:
//! `cargo test --release --test suite -- --ignored --nocapture source::measure`.

use std::process::Command;
use std::time::{Duration, Instant};

use super::upstream::World;
use super::{prepare_one, request};

/// 5,000 files of 40 KB: half noise, half text.
fn fill(repository: &super::upstream::Repository) {
    let mut state = 88_172_645_463_325_252_u64;
    let mut noise = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for number in 0..5_000 {
        let mut content = Vec::with_capacity(40_000);
        while content.len() < 40_000 {
            if number % 2 == 0 {
                content.extend_from_slice(&noise().to_le_bytes());
            } else {
                let word = noise() % 5_000;
                content.extend_from_slice(format!("let value_{word} = compute({});\n", word * 7).as_bytes());
            }
        }
        repository.write(format!("dir{}/file{number}", number % 100), content);
    }
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

#[test]
#[ignore = "a measurement, not a test"]
fn archive_of_5000_files_and_200_megabytes() {
    let world = World::new();
    let up = world.repository("up");
    fill(&up);
    let commit = up.commit("all");
    up.git(["repack", "-q", "-a", "-d"]);
    for round in 0..3 {
        let clone = world.path(&format!("clone{round}"));
        let theirs = timed(|| {
            let script = "git clone -q --depth 1 \"$0\" \"$1\" && tar czf \"$1.tar.gz\" -C \"$1\" .";
            let done = Command::new("sh").args(["-c", script, &up.url()]).arg(&clone).status().unwrap();
            assert!(done.success());
        });
        let mut size = 0;
        let ours = timed(|| {
            size = prepare_one(&world, request("a", &up.url(), "main", &commit)).unwrap().size;
        });
        let their_size = std::fs::metadata(world.path(&format!("clone{round}.tar.gz"))).unwrap().len();
        println!(
            "clone+tar {theirs:.2?} ({their_size} bytes), hephy {ours:.2?} ({size} bytes), ratio {:.2}",
            ours.as_secs_f64() / theirs.as_secs_f64()
        );
    }
}

#[test]
#[ignore = "a measurement, not a test"]
fn memory_for_one_file_of_a_gigabyte() {
    let world = World::new();
    let up = world.repository("up");
    let mut file = std::fs::File::create(up.path.join("big")).unwrap();
    for number in 0..1024_u32 {
        let block: Vec<u8> = (0..1 << 20_u32).map(|at: u32| (at.wrapping_mul(number | 1) >> 11) as u8).collect();
        std::io::Write::write_all(&mut file, &block).unwrap();
    }
    up.git(["-c", "core.bigFileThreshold=1m", "add", "big"]);
    let commit = up.commit("big");
    prepare_one(&world, request("a", &up.url(), "main", &commit)).unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap());
}
