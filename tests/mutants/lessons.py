"""What other brokers got wrong (LE), and the line here that does not."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

VIEW = "streamline/storage/view.py"
LIST = "streamline/api/list_offsets.py"
REPLICAS = "streamline/services/replicas.py"

BATCHES = "tests/api/test_produce_batches.py::"
FETCH = "tests/api/test_fetch.py::"
OFFSETS = "tests/api/test_list_offsets.py::"
TABLE = "tests/api/test_table.py::"

MUTANTS = (
    Mutant(
        "LE1",
        "What is advertised is what the table answers.",
        "streamline/api/table.py",
        "_api(22, producers.init_producer_id, last=5),  # version 6 is not stable in Kafka 4.3",
        "_api(22, producers.init_producer_id),",
        [f"{TABLE}TableTests::test_kafkas_versions"],
    ),
    Mutant(
        "LE1",
        "What is not advertised is not answered.",
        "streamline/wire/header.py",
        'raise ProtocolError(f"api {api_key} version {api_version} is not spoken here")',
        "return RequestHeader(api_key, api_version, correlation_id, None, 8)",
        [
            f"{TABLE}UnknownTests::test_all_of_them",
            "tests/wire/test_header.py::RequestHeaderTests::test_unknown_key_or_version_is_refused_whatever_follows",
        ],
    ),
    Mutant(
        "LE2",
        "A version of ApiVersions that is not known is answered with error 35.",
        "streamline/api/api_versions.py",
        "error_code=ErrorCode.UNSUPPORTED_VERSION,",
        "",
        [f"{TABLE}ApiVersionsTests::test_unknown_version"],
    ),
    Mutant(
        "LE3",
        "Batches are stored as they come.",
        "streamline/services/close_look.py",
        "codec = CODECS.get(config.compression_type, header.compression)",
        "codec = CODECS.get(config.compression_type, 0)",
        [f"{BATCHES}BatchTests::test_every_codec_is_kept_as_it_came"],
    ),
    Mutant(
        "LE4",
        "An offset in the middle of a batch returns the whole batch.",
        VIEW,
        "if last_offset >= offset:",
        "if last_offset > offset:",
        ["tests/storage/test_contract.py::SegmentTests::test_read_from_anywhere"],
    ),
    Mutant(
        "LE4",
        "The first batch comes however large it is.",
        VIEW,
        "if not length and at_least_one:",
        "if False:",
        ["tests/storage/test_contract.py::SegmentTests::test_read_at_least_one"],
    ),
    Mutant(
        "LE5",
        "A time is looked for record by record, not batch by batch.",
        LIST,
        "if record.timestamp >= timestamp and start_offset <= record.offset < high_watermark:",
        "if start_offset <= record.offset < high_watermark:",
        [f"{OFFSETS}TimeTests::test_each"],
    ),
    Mutant(
        "LE5",
        "What lies before the start is not found by its time.",
        LIST,
        "if record.timestamp >= timestamp and start_offset <= record.offset < high_watermark:",
        "if record.timestamp >= timestamp and record.offset < high_watermark:",
        [f"{OFFSETS}TimeTests::test_what_lies_before_the_start"],
    ),
    Mutant(
        "LE6",
        "The metadata of a commit is kept.",
        "streamline/api/offsets.py",
        "metadata=part.committed_metadata,",
        "",
        ["tests/api/test_offsets.py::CommitTests::test_metadata_is_not_lost"],
    ),
    Mutant(
        "LE7",
        "DescribeConfigs with no names, or with null, means all settings.",
        "streamline/api/configs.py",
        "result.configs = [_shown(request, setting) for setting in settings if not keys or setting.name in keys]",
        "result.configs = [_shown(request, setting) for setting in settings if setting.name in keys]",
        ["tests/api/test_configs.py::TopicTests::test_some_keys"],
    ),
    Mutant(
        "LE8",
        "A transaction is refused where it begins, not half served.",
        "streamline/api/producers.py",
        "if request.transactional_id is not None:",
        "if False:",
        ["tests/api/test_producers.py::InitProducerIdTests::test_transactions"],
    ),
    Mutant(
        "LE8",
        "The read_committed of a consumer has its list of aborted transactions.",
        "streamline/api/fetch.py",
        "aborted_transactions=_NONE_ABORTED if isolation_level == READ_COMMITTED else None,",
        "aborted_transactions=None,",
        [f"{FETCH}ReadingTests::test_read_committed"],
    ),
    Mutant(
        "LE9",
        "A batch has a bound.",
        "streamline/wire/batch.py",
        "if header.size > max_bytes:",
        "if False:",
        [f"{BATCHES}SizeTests::test_bound"],
    ),
    Mutant(
        "LE10",
        "Records without a key are refused by a compacted topic.",
        "streamline/services/taking.py",
        "if has_null_key and self._compacts:",
        "if False:",
        [f"{BATCHES}CompactedTests::test_keys"],
    ),
    Mutant(
        "LE10",
        "Also where the batch was looked at closely.",
        "streamline/services/close_look.py",
        "return records, (header, checked.max_timestamp, checked.has_null_key)",
        "return records, (header, checked.max_timestamp, False)",
        [f"{BATCHES}CompactedTests::test_keys"],
    ),
    Mutant(
        "LE11",
        "A rebalance within a rebalance tells nobody that it is unknown.",
        "streamline/groups/group.py",
        "error = ErrorCode.REBALANCE_IN_PROGRESS",
        "error = ErrorCode.UNKNOWN_MEMBER_ID",
        ["tests/groups/test_joining.py::RejoinTests::test_request_that_is_repeated_answers_the_one_before"],
    ),
    Mutant(
        "LE12",
        "A group's coordinator is the leader of its partition, and nobody else.",
        "streamline/services/coordinators.py",
        "return state.leader",
        "return self._config.node_id",
        ["tests/services/test_coordinators.py::FencingTests::test_the_coordinator_is_the_leader"],
    ),
    Mutant(
        "LE13",
        "The ids of topics are drawn by chance, not made of their names.",
        "streamline/services/controller.py",
        "topic_id = self._new_topic_id()",
        "topic_id = wanted.name.encode().ljust(16)[:16]",
        ["tests/api/test_topics.py::DeleteTests::test_made_again"],
    ),
    Mutant(
        "LE14",
        "A time-out of a produce is an error, not a success.",
        "streamline/services/partition.py",
        "refusal = refusal_of(self._acks, acks, receipt.next_offset, self._standing(leadership))",
        "refusal = None",
        ["tests/services/test_durability.py::SyncEachTests::test_time_is_up"],
    ),
    Mutant(
        "LE14",
        "Also of produces that came together and are answered together.",
        "streamline/services/partition.py",
        "if receipt.next_offset > reached or receipt.refusal is not None or receipt.leadership is not leadership:",
        "if receipt.leadership is not leadership:",
        [
            "tests/services/test_runs.py::SyncedRunTests::test_time_is_up",
            "tests/services/test_runs.py::SyncedRunTests::test_they_wait_in_one_place",
        ],
    ),
)
