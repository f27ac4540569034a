use super::*;

#[test]
fn all_that_a_message_holds_counts_as_its_bytes() {
    let topic: Arc<str> = "t".into();
    let headers = vec![("trace".to_owned(), Some(vec![0; 1_000])), ("n".repeat(500), None)];
    let mut builder = MessagesBuilder::default();
    let mut bytes = Vec::new();
    for (key, payload, headers) in [
        (None, None, &[][..]),
        (Some(&[0; 300][..]), None, &[]),
        (None, Some(&[0; 400][..]), &[]),
        (None, None, &headers),
    ] {
        let before = builder.bytes();
        builder.push(Message { key, payload, headers, ..Message::tombstone(&topic, 0, 0) });
        bytes.push(builder.bytes() - before);
    }
    let message = MESSAGE_OVERHEAD_BYTES;
    assert_eq!(bytes[..3], [message, message + 300, message + 400]);
    assert_eq!(bytes[3], message + 5 + 1_000 + 500 + 2 * HEADER_OVERHEAD_BYTES);
}

/// A partition is dropped while messages of others are collected, and more come after that.
#[test]
fn no_message_has_what_belongs_to_one_that_was_dropped() {
    let topic: Arc<str> = "t".into();
    let mut builder = MessagesBuilder::default();
    let mut push = |partition: i32, offset: i64, is_torn: bool| {
        let header = [("of".to_owned(), Some(vec![offset as u8]))];
        let headers = if is_torn { &header[..] } else { &[] };
        builder.push(Message { headers, ..Message::tombstone(&topic, partition, offset) });
        if is_torn {
            builder.note_damage(format!("torn {offset}"));
        }
    };
    push(0, 1, true);
    push(1, 2, false);
    push(1, 3, true);
    builder.drop_partitions(&[TopicPartition { topic: "t".into(), partition: 0 }]);
    let bytes = builder.bytes();
    [4, 5].into_iter().for_each(|offset| builder.push(Message::tombstone(&topic, 2, offset)));
    assert_eq!(builder.bytes() - bytes, 2 * MESSAGE_OVERHEAD_BYTES);
    let messages = builder.finish();
    let damage: Vec<Option<&str>> = (0..messages.len()).map(|index| messages.damage(index)).collect();
    assert_eq!(damage, [None, Some("torn 3"), None, None]);
    let headers: Vec<usize> = messages.iter().map(|message| message.headers.len()).collect();
    assert_eq!(headers, [0, 1, 0, 0]);
}

#[test]
fn messages_are_ordered_by_topic_partition_and_offset_however_they_arrive() {
    let arrived = [("b", 0, 7), ("a", 1, 2), ("c", 0, 1), ("a", 0, 9), ("b", 0, 6), ("a", 1, 1), ("a", 0, 3)];
    let topics: BTreeMap<&str, Arc<str>> =
        arrived.iter().map(|(topic, ..)| (*topic, (*topic).into())).collect();
    let mut builder = MessagesBuilder::default();
    for (topic, partition, offset) in arrived {
        let header = [(topic.to_owned(), Some(vec![offset as u8]))];
        builder.push(Message {
            timestamp_ms: Some(offset),
            key: Some(topic.as_bytes()),
            headers: &header,
            ..Message::tombstone(&topics[topic], partition, offset)
        });
    }
    let messages = builder.finish();
    let found: Vec<(&str, i32, i64)> =
        messages.iter().map(|message| (message.topic.as_ref(), message.partition, message.offset)).collect();
    let mut expected = arrived.to_vec();
    expected.sort_unstable();
    assert_eq!(found, expected);
    for message in messages.iter() {
        assert_eq!(message.key, Some(message.topic.as_bytes()));
        assert_eq!(message.headers, [(message.topic.to_string(), Some(vec![message.offset as u8]))]);
    }
    let of = |topic: &str, partition| messages.count_of(&TopicPartition { topic: topic.into(), partition });
    assert_eq!([of("a", 0), of("a", 1), of("b", 0), of("c", 0), of("c", 1)], [2, 2, 2, 1, 0]);
    let extents = |messages: Messages| -> Vec<(String, i64, i64)> {
        let extents = messages.extents().into_iter();
        extents.map(|extent| (extent.partition.to_string(), extent.first, extent.last)).collect()
    };
    let named = |all: &[(&str, i64, i64)]| -> Vec<(String, i64, i64)> {
        all.iter().map(|(name, first, last)| ((*name).to_owned(), *first, *last)).collect()
    };
    let all = [("a[0]", 3, 9), ("a[1]", 1, 2), ("b[0]", 6, 7), ("c[0]", 1, 1)];
    assert_eq!(extents(messages.clone()), named(&all));
    assert_eq!(extents(messages.slice(3..5)), named(&[("a[1]", 2, 2), ("b[0]", 6, 6)]));
    assert_eq!(extents(Messages::empty()), []);
}
