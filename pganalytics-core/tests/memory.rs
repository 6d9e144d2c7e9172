//! Hostile bytes never make a reader take more memory than its limits say.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use peak_alloc::PeakAlloc;
use pganalytics_core::{
    Batch, Block, Column, ColumnKind, ColumnType, CounterFamily, CutSource, Epoch, Gap, GapReason, InstanceId,
    MeasurementName, Rows, RowsBuilder, Schema, Scrape, ScrapeClock, ScrapeKind, Seq, ServerId, Source, StreamId,
    Timestamp, Value,
    frame::{self, Frame, Limits, PushBody, PushLimits, VerifiedFrame},
    json::{Defaults, JsonLimits, PushDocument},
};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What one call takes at most, beyond what was there before.
fn peak_of(action: impl FnOnce()) -> usize {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    action();
    MEMORY.peak_usage().saturating_sub(before)
}

fn source() -> Source {
    let server_id = ServerId::of_cluster(1);
    Source { server_id, instance_id: InstanceId::of_address(server_id, "a"), server: "a".into(), database: None }
}

fn batch(rows: i64) -> Batch {
    let columns = vec![
        Column::new("text", ColumnKind::Key, ColumnType::Text),
        Column::new("few", ColumnKind::Key, ColumnType::Text),
        Column::new("int", ColumnKind::Counter, ColumnType::Int),
        Column::new("float", ColumnKind::Gauge, ColumnType::Float),
        Column::new("bool", ColumnKind::Gauge, ColumnType::Bool),
    ];
    let schema = Schema::new(MeasurementName::new("m").unwrap(), CounterFamily::None, columns).unwrap();
    let mut builder = RowsBuilder::new(&schema);
    for row in 0..rows {
        let text = format!("text of row {row}");
        let few = format!("{}", row % 7);
        let row = [
            Value::Text(&text),
            Value::Text(&few),
            Value::Int(row * row * 7919 % 1_000_003),
            Value::Float(row as f64 / 3.0),
            if row % 5 == 0 { Value::Null } else { Value::Bool(row % 3 == 0) },
        ];
        builder.push(&row).unwrap();
    }
    Batch {
        rows: builder.finish(),
        schema: Arc::new(schema),
        source: source(),
        scrape: Scrape {
            collected_at: Timestamp::from_secs(1),
            interval_micros: 1,
            kind: ScrapeKind::Keyframe,
            epoch: Epoch::default(),
            clock: ScrapeClock::default(),
        },
    }
}

#[test]
fn reading_takes_no_more_memory_nor_time_than_the_limits_say() {
    // One test, because memory is counted for the whole process.
    hostile_frames();
    admitted_frames();
    hostile_gaps();
    bombs();
    crowded_blocks();
    hostile_json();
}

fn hostile_frames() {
    let limits = Limits { max_decoded_bytes: 4 << 20, max_frame_bytes: 1 << 20, ..Limits::default() };
    let most = limits.max_decoded_bytes * 4 + (4 << 20) + limits.max_scrapes * 100;
    let mut seed = 1_u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize
    };
    for rows in [1, 20, 500] {
        let good = frame::encode(&batch(rows)).unwrap();
        let end = frame::split_schema(&good.clone().into()).unwrap().0.len() - 4;
        for _ in 0..1500 {
            let mut bytes = good.clone();
            for _ in 0..1 + random() % 4 {
                let at = 10 + random() % (end - 10);
                bytes[at] = random().to_le_bytes()[0];
            }
            let checksum = crc32c::crc32c(&bytes[..end]);
            bytes[end..end + 4].copy_from_slice(&checksum.to_le_bytes());
            let bytes = Bytes::from(bytes);
            let started = Instant::now();
            let peak = peak_of(|| drop(VerifiedFrame::verify(Seq(1), bytes, &limits)));
            assert!(peak <= most, "{peak} bytes for a frame of {rows} rows");
            // Hundreds of times what it takes, for machines that are busy.
            assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        }
    }
    // A good frame of few bytes that is as large as allowed, and one that is larger.
    for (rows, good) in [(50_000, true), (200_000, false)] {
        let mut batch = batch(1);
        batch.rows = batch.rows.take(&vec![0; rows]);
        let small = Bytes::from(frame::encode(&batch).unwrap());
        assert!(small.len() < 500, "{}", small.len());
        let peak = peak_of(|| assert_eq!(VerifiedFrame::verify(Seq(1), small, &limits).is_ok(), good));
        assert!(peak <= if good { most } else { 1 << 20 }, "{peak}");
    }
}

/// What a frame announces is what admission goes by: reading it once takes no
/// more than twice as much, whatever its columns hold and however they are packed.
fn admitted_frames() {
    let rows = 60_000_usize;
    let mut all = batch(1);
    let long = "x".repeat(300);
    type Row<'a> = (&'static str, Box<dyn Fn(usize) -> [Value<'a>; 5] + 'a>);
    let shapes: [Row<'_>; 5] = [
        (
            "alike",
            Box::new(|_| [Value::Text("a"), Value::Text(&long), Value::Int(7), Value::Float(0.5), Value::Bool(true)]),
        ),
        (
            "nothing",
            Box::new(|row| {
                if row == 0 {
                    [Value::Text("a"), Value::Null, Value::Int(1), Value::Float(1.0), Value::Bool(true)]
                } else {
                    [Value::Null; 5]
                }
            }),
        ),
        (
            "few",
            Box::new(|row| {
                let texts = ["one", "two", "three", ""];
                let few = row % 4;
                [
                    Value::Text(texts[few]),
                    Value::Text(&long[..few * 90]),
                    Value::Int(few as i64),
                    Value::Null,
                    Value::Bool(few == 0),
                ]
            }),
        ),
        (
            "half",
            Box::new(|row| {
                let random = row.wrapping_mul(2_654_435_761) % 4_294_967_291;
                if row % 2 == 0 {
                    [Value::Null; 5]
                } else {
                    [
                        Value::Text(&long[..random % 50]),
                        Value::Text("b"),
                        Value::Int(random as i64),
                        Value::Float(random as f64),
                        Value::Null,
                    ]
                }
            }),
        ),
        (
            "random",
            Box::new(|row| {
                let random = row.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 3;
                [
                    Value::Text(&long[..random % 200]),
                    Value::Text(&long[..random % 3]),
                    Value::Int(random as i64),
                    Value::Float(f64::from_bits(random as u64)),
                    Value::Bool(random % 7 == 0),
                ]
            }),
        ),
    ];
    for (name, row) in shapes {
        let mut builder = RowsBuilder::new(&all.schema);
        (0..rows).for_each(|number| builder.push(&row(number)).unwrap());
        let built = builder.finish();
        all.rows = built;
        let bytes = Bytes::from(frame::encode(&all).unwrap());
        let announced = usize::try_from(frame::decoded_bytes(&bytes).unwrap()).unwrap();
        let peak = peak_of(|| drop(VerifiedFrame::verify(Seq(1), bytes.clone(), &Limits::default()).unwrap()));
        assert!(peak <= 2 * announced + (1 << 20), "{name}: {peak} bytes, {announced} were announced");
    }
}

/// Gaps announce what they take, too.
fn hostile_gaps() {
    let name = MeasurementName::new("m").unwrap();
    let cut = CutSource { source: source(), measurements: vec![name; 500_000] };
    let (first, last, at) = (Seq(1), Seq(2), Timestamp::from_secs(1));
    let gap = Gap { first, last, from: at, to: at, reason: GapReason::Quota, detail: String::new(), cut: vec![cut] };
    let bytes = Bytes::from(frame::encode_gap(&gap));
    let announced = usize::try_from(frame::decoded_bytes(&bytes).unwrap()).unwrap();
    let peak = peak_of(|| drop(VerifiedFrame::verify(Seq(1), bytes, &Limits::default()).unwrap()));
    assert!(peak <= 2 * announced, "{peak} bytes, {announced} were announced");
}

/// Frames that are small, and would be large.
fn bombs() {
    let limits = Limits { max_decoded_bytes: 4 << 20, ..Limits::default() };
    let mut texts = batch(0);
    let mut rows = RowsBuilder::new(&texts.schema);
    let long = "a".repeat(1 << 20);
    for row in 0..50 {
        let text = format!("{row}{long}");
        rows.push(&[Value::Text(&text), Value::Null, Value::Null, Value::Null, Value::Null]).unwrap();
    }
    texts.rows = rows.finish();
    let bomb = Bytes::from(frame::encode(&texts).unwrap());
    assert!(bomb.len() < 50_000, "{}", bomb.len());
    let peak = peak_of(|| assert!(VerifiedFrame::verify(Seq(1), bomb, &limits).is_err()));
    assert!(peak < 1 << 20, "{peak}");

    // A schema that is longer than the 16 bytes that it says.
    let mut bomb = vec![16, 1];
    bomb.extend(zstd::bulk::compress(&vec![0; 100 << 20], 3).unwrap());
    let peak = peak_of(|| {
        let error = frame::decode_schema(&bomb, &limits).unwrap_err();
        assert!(error.to_string().starts_with("schema is malformed"), "{error}");
    });
    assert!(peak < 1 << 20, "{peak}");

    // Schemas that expand to more than a push may bring.
    let columns = (0..512).map(|at| Column::new(&format!("c{at:062}"), ColumnKind::Gauge, ColumnType::Int)).collect();
    let wide = Schema::new(MeasurementName::new("wide").unwrap(), CounterFamily::None, columns).unwrap();
    let wide = Arc::new(wide);
    let many: Vec<_> = std::iter::repeat_n(wide, 100).collect();
    let bomb = Bytes::from(frame::encode_push(StreamId::random(), &many, &[]));
    assert!(bomb.len() < 50_000, "{}", bomb.len());
    let peak = peak_of(|| {
        let error = PushBody::parse(bomb, &PushLimits::default()).unwrap_err();
        assert!(error.to_string().contains("bytes of schemas"), "{error}");
    });
    assert!(peak < 8 << 20, "{peak}");

    // A push that expands to more than it may.
    let same = (0..40).map(|seq| (Seq(seq).into(), vec![0; 1 << 20].into())).collect::<Vec<_>>();
    let bomb = Bytes::from(frame::encode_push(StreamId::random(), &[], &same));
    assert!(bomb.len() < 50_000, "{}", bomb.len());
    let peak = peak_of(|| assert!(PushBody::parse(bomb, &PushLimits::default()).is_err()));
    assert!(peak < 1 << 20, "{peak}");
}

/// Blocks of many keys and many keyframes: what would take time if each key
/// were held against each keyframe.
fn crowded_blocks() {
    let empty = batch(0);
    let scrapes = |from: i64, count: i64| {
        let at = |second| Scrape { collected_at: Timestamp::from_secs(second), ..empty.scrape };
        (from..from + count).map(at).collect::<Vec<_>>()
    };
    let rows = batch(30_000).rows;
    let frame = |scrapes: Vec<Scrape>, rows: Rows| {
        let first = vec![0; rows.len()];
        let block = Block::new(Arc::clone(&empty.schema), empty.source.clone(), scrapes, first, rows).unwrap();
        Frame::parse(frame::encode_block(&block).unwrap().into(), &Limits::default()).unwrap()
    };
    let all = frame(scrapes(0, 100_000), rows.clone());
    let none = frame(scrapes(100_000, 100_000), rows.take(&[]));
    let started = Instant::now();
    let peak = peak_of(|| {
        let block = frame::compact(&[all, none]).unwrap();
        assert_eq!((block.scrapes().len(), block.rows().len()), (200_000, 60_000));
    });
    // All with all would be 6,000,000,000 steps.
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert!(peak < 100 << 20, "{peak}");
}

fn hostile_json() {
    let limits = JsonLimits { max_bytes: 1 << 20, max_values: 1 << 18, ..JsonLimits::default() };
    let defaults = Defaults { source: source(), received_at: Timestamp::from_secs(1) };
    let fill = |start: &str, part: &str, end: &str| {
        let count = ((1 << 20) - start.len() - end.len() - 10) / part.len();
        format!("{start}{}{end}", part.repeat(count))
    };
    let documents = [
        fill("{\"metrics\": [", "0,", "0]}"),
        fill("{\"metrics\": [{\"type\": \"a\", \"rows\": [", "[],", "[]]}]}"),
        fill("{\"metrics\": [{\"type\": \"a\", \"rows\": [[", "0,", "0]]}]}"),
        fill("{\"metrics\": [{\"type\": \"a\", \"gone\": [", "0,", "0], \"x\": 1}]}"),
        fill("{\"metrics\": [{\"type\": \"a\", \"rows\": [", "{\"x\":1},", "{\"x\":1}]}]}"),
        fill("{\"metrics\": [{\"type\": \"a\", \"rows\": [", "{},", "{\"x\":1}]}]}"),
        fill("{\"metrics\": [{\"type\": \"a\", ", "\"x\":1,", "\"x\":1}]}"),
        fill("{\"metrics\": [{\"type\": \"", "a", "\"}]}"),
        fill("{\"metrics\": [{\"type\": \"a\", \"x\": 1, \"kind\": \"", "a", "\"}]}"),
        fill("{\"metrics\": [{\"type\": \"wide\", \"rows\": [", "{},", "{}]}]}"),
        fill("{\"metrics\": [", "{\"type\": \"wide\", \"rows\": [{}]},", "0]}"),
        fill(
            "{\"metrics\": [{\"type\": \"a\", \"columns\": [",
            "{\"name\":\"a\",\"kind\":\"key\",\"type\":\"int\"},",
            "0]}]}",
        ),
    ];
    // As many columns as a schema can have, so that `{}` makes as many values.
    let columns = (0..512).map(|at| Column::new(&format!("c{at}"), ColumnKind::Gauge, ColumnType::Int)).collect();
    let wide = Schema::new(MeasurementName::new("wide").unwrap(), CounterFamily::None, columns).unwrap();
    let wide = Arc::new(wide);
    let known = |name: &str| (name == "wide").then(|| Arc::clone(&wide));
    for document in documents {
        let started = Instant::now();
        let peak = peak_of(|| drop(PushDocument::parse(document.as_bytes(), &limits, &known, &defaults)));
        // Four times the document, and the batches: eight bytes and a bit for
        // each value, which may have to move while they grow.
        assert!(peak <= limits.max_bytes * 4 + limits.max_values * 25, "{peak} bytes for {}", &document[..60]);
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    }
}
