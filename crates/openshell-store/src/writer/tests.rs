//! Order, group commit, and what happens after a failure.

use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::disk::Family;
use crate::disk::simulated::SimulatedDisk;

type Told = Arc<Mutex<Vec<String>>>;

fn writer(disk: &SimulatedDisk, mode: WriterMode) -> (Writer, Told) {
    let told = Told::default();
    let hook: FaultHook = {
        let told = Arc::clone(&told);
        Arc::new(move |text| told.lock().expect("a test's lock").push(text.to_owned()))
    };
    (Writer::start(Arc::new(disk.clone()), mode, 1024, hook, 0).expect("started"), told)
}

fn batch(number: u8) -> Batch {
    let mut batch = Batch::new();
    batch.put(Family::Log, [number], vec![number; 100]);
    batch
}

#[tokio::test]
async fn callbacks_come_in_order_and_one_sync_serves_all_that_waited() {
    let disk = SimulatedDisk::new();
    let (writer, told) = writer(&disk, WriterMode::Thread);
    let order = Arc::new(Mutex::new(Vec::new()));
    disk.hold_syncs(true);
    let first = writer.submit(batch(0), true, Box::new(|result| result.expect("written"))).await;
    first.expect("queued");
    while disk.written() == 0 {
        tokio::task::yield_now().await;
    }
    for number in 1..8 {
        let order = Arc::clone(&order);
        let done = Box::new(move |result: io::Result<()>| {
            result.expect("written");
            order.lock().expect("a test's lock").push(number);
        });
        writer.submit(batch(number), number % 2 == 0, done).await.expect("queued");
    }
    disk.hold_syncs(false);
    writer.write(batch(8), true).await.expect("written");
    assert_eq!(*order.lock().expect("a test's lock"), (1..8).collect::<Vec<_>>());
    assert!(disk.boundaries().len() <= 3, "one sync for all that was queued: {:?}", disk.boundaries());
    assert!(told.lock().expect("a test's lock").is_empty());
}

#[tokio::test]
async fn a_writer_that_is_a_task_writes_at_once_what_came_while_its_disk_took_its_time() {
    let disk = SimulatedDisk::new();
    disk.set_delay(Duration::from_millis(5));
    let (writer, _told) = writer(&disk, WriterMode::Task);
    for number in 0..7 {
        writer.submit(batch(number), true, Box::new(|result| result.expect("written"))).await.expect("queued");
    }
    assert_eq!(disk.written(), 0, "nothing is written before the time is over");
    writer.write(batch(7), true).await.expect("written");
    assert_eq!(disk.boundaries(), [1], "one sync for all");
}

#[tokio::test]
async fn who_submits_waits_for_room() {
    let disk = SimulatedDisk::new();
    let (writer, _told) = writer(&disk, WriterMode::Thread);
    disk.hold_syncs(true);
    let submit = |number| writer.submit(batch(number), true, Box::new(|_result| ()));
    let mut queued = 0;
    let mut pending = Box::pin(submit(0));
    while futures::poll!(&mut pending).is_ready() {
        queued += 1;
        assert!(queued < 20, "nothing bounds the queue");
        pending = Box::pin(submit(queued));
    }
    assert!(queued >= 5, "only {queued} batches of 117 bytes fit into 1024");
    disk.hold_syncs(false);
    pending.await.expect("there is room at last");
    // A batch larger than the whole queue passes alone.
    let mut large = Batch::new();
    large.put(Family::Log, "large", vec![0; 10_000]);
    writer.write(large, true).await.expect("written");
}

#[tokio::test]
async fn after_one_failure_nothing_is_written_again() {
    for mode in [WriterMode::Thread, WriterMode::Inline, WriterMode::Task] {
        let disk = SimulatedDisk::new();
        let (writer, told) = writer(&disk, mode);
        writer.write(batch(1), true).await.expect("written");
        disk.fail("no space left");
        let text = "a write to the log database failed: no space left";
        assert_eq!(writer.write(batch(2), true).await.expect_err("failed").to_string(), text);
        assert_eq!(writer.write(batch(3), false).await.expect_err("refused").to_string(), text);
        // The keeper of the mark may tell of its own failure, too.
        assert!(told.lock().expect("a test's lock").contains(&text.to_owned()));
        assert_eq!(disk.written(), 1);
    }
}

#[tokio::test]
async fn dropping_the_last_handle_writes_what_is_queued_and_keeps_the_mark() {
    for mode in [WriterMode::Thread, WriterMode::Inline, WriterMode::Task] {
        let disk = SimulatedDisk::new();
        let (writer, _told) = writer(&disk, mode);
        for number in 0..5 {
            writer.submit(batch(number), true, Box::new(|_result| ())).await.expect("queued");
        }
        drop(writer);
        let counter = meta::read_array(&disk, meta::COUNTER).expect("read").map_or(0, u64::from_be_bytes);
        assert!(counter > 0);
        assert_eq!(disk.mark().expect("read"), counter, "{mode:?}");
        assert_eq!(disk.dump().iter().filter(|(family, ..)| *family == Family::Log).count(), 5);
    }
}
