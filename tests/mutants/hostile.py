"""Hostile input (SE): what a stranger can send, and what it cannot do with it."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

FRAME = "streamline/wire/frame.py"
READING = "streamline/wire/reading.py"
VARINTS = "streamline/wire/varints.py"
HEADER = "streamline/wire/header.py"
BATCH = "streamline/wire/batch.py"
CHECK = "streamline/wire/recordcheck.py"
COMPRESS = "streamline/wire/compress.py"
LIMITS = "streamline/net/limits.py"
WATCHMAN = "streamline/net/watchman.py"
ACCOUNTS = "streamline/net/accounts.py"
CONNECTION = "streamline/net/connection.py"
SESSIONS = "streamline/replication/sessions.py"
LINES = "streamline/services/log_lines.py"

FRAMES = "tests/wire/test_frame.py::LimitTests::"
BUDGET = "tests/wire/test_properties.py::LimitTests::"
SCHEMA = "tests/wire/test_schema.py::BytesTests::"
HEADERS = "tests/wire/test_header.py::RequestHeaderTests::"
CHECKS = "tests/wire/test_batch.py::CheckTests::"
RECORDS = "tests/wire/test_recordcheck.py::RefusalTests::"
BOMBS = "tests/wire/test_compress.py::BombTests::"
WATCH = "tests/net/test_watchman.py::"
PACE = "tests/net/test_connection.py::PaceTests::"
NAMES = "tests/cluster/test_names.py::TopicNameTests::"

BYTE_LEVEL = (
    Mutant(
        "SE1",
        "A frame is as long as its API may be, and not shorter than a request.",
        FRAME,
        "if not self._min_bytes <= length <= limit:",
        "if False:",
        [f"{FRAMES}test_lengths_that_no_frame_has"],
    ),
    Mutant(
        "SE1",
        "Only Produce may be large.",
        LIMITS,
        "return self.produce_bytes_max if api_key == 0 else self.other_bytes_max",
        "return self.produce_bytes_max",
        ["tests/hostile/test_bytes.py::FrameTests::test_other_apis_may_not_be_as_large"],
    ),
    Mutant(
        "SE3",
        "Elements are counted before the first of them is read.",
        READING,
        "self.line(f\"left -= {name}\")",
        "",
        [f"{BUDGET}test_more_elements_than_a_message_may_have"],
    ),
    Mutant(
        "SE3",
        "Tagged fields count as well.",
        READING,
        "left -= count",
        "",
        [f"{BUDGET}test_tagged_fields_count_too"],
    ),
    Mutant(
        "SE3",
        "A varint has 32 bits.",
        VARINTS,
        'if value >> 32:\n    raise ProtocolError("a varint has more than 32 bits")',
        "",
        ["tests/wire/test_varints.py::VarintTests::test_too_long"],
    ),
    Mutant(
        "SE4",
        "Tags rise, so that none comes twice.",
        READING,
        "if tag <= before:",
        "if False:",
        [f"{SCHEMA}test_tags_that_are_refused"],
    ),
    Mutant(
        "SE4",
        "A tagged field ends where it says.",
        READING,
        "self.line(f\"if at != {end}: raise wrong(f'tagged field {{{tag}}} has a wrong size')\")",
        "",
        [f"{SCHEMA}test_tags_that_are_refused"],
    ),
    Mutant(
        "SE4",
        "Text is UTF-8, or refused as anything else that is malformed.",
        READING,
        "except UnicodeDecodeError as error:",
        "except ZeroDivisionError as error:",
        [f"{SCHEMA}test_text_that_is_none"],
    ),
    Mutant(
        "SE4",
        "A compact string is no longer than any of Kafka's.",
        VARINTS,
        "if length > TEXT_BYTES + 1:",
        "if False:",
        ["tests/wire/test_varints.py::VarintTests::test_no_string_is_longer_than_32767"],
    ),
    Mutant(
        "SE5",
        "A message that is cut short is refused.",
        READING,
        "if at > size or left < 0:",
        "if left < 0:",
        [f"{BUDGET}test_text_that_reaches_beyond_the_end"],
    ),
    Mutant(
        "SE6",
        "What is not spoken here is refused before its body is looked at.",
        HEADER,
        "raise ProtocolError(f\"api {api_key} version {api_version} is not spoken here\")",
        "return RequestHeader(api_key, api_version, correlation_id, None, 8)",
        [f"{HEADERS}test_unknown_key_or_version_is_refused_whatever_follows"],
    ),
    Mutant(
        "SE11",
        "A message has so many elements, however few bytes they take.",
        READING,
        "if at > size or left < 0:",
        "if at > size:",
        [f"{BUDGET}test_short_arrays_of_numbers_count_too"],
    ),
    Mutant(
        "SE11",
        "Partitions are counted before they are made.",
        "streamline/cluster/planning.py",
        "if partitions > PARTITIONS_PER_REQUEST_MAX:",
        "if False:",
        ["tests/cluster/test_planning.py::PlanTopicTests::test_too_many"],
    ),
    Mutant(
        "SE11",
        "So are those of all topics of one request.",
        "streamline/api/topics.py",
        "return too_many(partitions) if partitions > PARTITIONS_PER_REQUEST_MAX else None",
        "return None",
        ["tests/api/test_topics.py::FloodTests::test_of_all_topics_together"],
    ),
    Mutant(
        "SE11",
        "A resource is described once, however often it is named.",
        "streamline/api/configs.py",
        "for resource in resources.values():",
        "for resource in request.resources:",
        ["tests/api/test_configs.py::FloodTests::test_one_resource_again_and_again"],
    ),
    Mutant(
        "SE11",
        "What is a lot of work is done in several turns.",
        "streamline/api/configs.py",
        "if len(results) % RESOURCES_PER_TURN == 0:",
        "if False:",
        ["tests/api/test_configs.py::FloodTests::test_many_resources"],
    ),
)

BATCHES = (
    Mutant(
        "SE9",
        "A batch has the checksum that it says.",
        BATCH,
        "if not is_intact(buf, at, header):",
        "if False:",
        [f"{CHECKS}test_checksum"],
    ),
    Mutant(
        "SE9",
        "A partition takes one batch of a request.",
        BATCH,
        "if at + header.size < len(buf):",
        "if False:",
        [f"{CHECKS}test_more_than_one_batch"],
    ),
    Mutant(
        "SE9",
        "Clients write no control records.",
        BATCH,
        "if header.is_control:",
        "if False:",
        [f"{CHECKS}test_what_only_brokers_write"],
    ),
    Mutant(
        "SE9",
        "Its offsets are those of its records.",
        BATCH,
        "if header.last_offset_delta != header.record_count - 1:",
        "if False:",
        [f"{CHECKS}test_offsets_and_counts"],
    ),
    Mutant(
        "SE9",
        "Timestamps lie between the bounds of the topic.",
        BATCH,
        "if timestamp != NO_TIMESTAMP and not earliest <= timestamp <= latest:",
        "if False:",
        [f"{CHECKS}test_timestamps"],
    ),
    Mutant(
        "SE9",
        "It has as many records as it says, and nothing behind them.",
        CHECK,
        "if self._at != len(self._body):",
        "if False:",
        [f"{RECORDS}test_counts"],
    ),
    Mutant(
        "SE10",
        "What comes out of a codec has a bound.",
        COMPRESS,
        "return min(MOST_OUTPUT_BYTES, max(LEAST_OUTPUT_BYTES, OUTPUT_RATIO * size_bytes))",
        "return 1 << 28",
        [f"{BOMBS}test_the_rule"],
    ),
    Mutant(
        "SE10",
        "The bound is no guess: the buffer does not grow past it.",
        COMPRESS,
        "size = min(most, size * 4)",
        "size *= 4",
        [f"{BOMBS}test_zeros"],
    ),
    Mutant(
        "SE10",
        "Snappy's blocks are added up before anything is made.",
        COMPRESS,
        "if sum(sizes) > most:\n    raise _too_large(most)",
        "",
        [f"{BOMBS}test_snappy_that_claims_two_gigabytes"],
    ),
)

CONNECTIONS = (
    Mutant(
        "SE2",
        "A request that trickles in is given up.",
        WATCHMAN,
        "if frame_s > limits.frame_s_max and connection.partial_bytes < frame_s * TRICKLE_BYTES_PER_S:",
        "if False:",
        [f"{WATCH}TrickleTests::test_a_byte_a_second"],
    ),
    Mutant(
        "SE2",
        "One that is steady is not.",
        WATCHMAN,
        "if frame_s > limits.frame_s_max and connection.partial_bytes < frame_s * TRICKLE_BYTES_PER_S:",
        "if frame_s > limits.frame_s_max:",
        [f"{WATCH}TrickleTests::test_slow_but_steady"],
    ),
    Mutant(
        "SE2",
        "A connection on which nothing happens is closed.",
        WATCHMAN,
        "if not connection.is_waiting and silent_s > limits.idle_s_max:",
        "if False:",
        [f"{WATCH}IdleTests::test_silent"],
    ),
    Mutant(
        "SE2",
        "While unfinished requests take too much memory, patience is short.",
        WATCHMAN,
        "if frame_s > limits.pressure_s_max and self._factory.accounts.is_flooded:",
        "if False:",
        [f"{WATCH}FloodTests::test_unfinished_requests"],
    ),
    Mutant(
        "SE2",
        "While they do, one of them is read, and the others wait.",
        ACCOUNTS,
        "return not share.inbound_bytes or not self.is_flooded or next(iter(self._inbound)) is share",
        "return True",
        ["tests/net/test_accounts.py::AccountsTests::test_at_least_one_may_always_be_read"],
    ),
    Mutant(
        "SE12",
        "A client that does not take its answers is given no others.",
        CONNECTION,
        "or answers.ready_bytes + unsent_bytes > limits.unsent_bytes_max",
        "",
        [f"{PACE}test_answers_of_one_pass"],
    ),
    Mutant(
        "SE12",
        "So many requests of a connection wait, and no more are read.",
        CONNECTION,
        "or answers.owed >= limits.pending_max",
        "",
        [f"{PACE}test_requests_that_wait"],
    ),
    Mutant(
        "SE12",
        "Several that wait in one place are as many as they are.",
        "streamline/net/answers.py",
        "self.owed += slot.requests",
        "self.owed += 1",
        ["tests/services/test_runs.py::WaitingRunTests::test_requests_are_counted"],
    ),
    Mutant(
        "SE12",
        "A client that takes nothing is let go.",
        WATCHMAN,
        "if untaken_s > limits.stalled_s_max:",
        "if False:",
        [f"{WATCH}StalledTests::test_not_taken"],
    ),
    Mutant(
        "SE12",
        "Answers of all clients together have a bound.",
        ACCOUNTS,
        "return not share.outbound_bytes and self.outbound_bytes <= 2 * self._limits.outbound_bytes_max",
        "return True",
        ["tests/net/test_accounts.py::AccountsTests::test_choked"],
    ),
    Mutant(
        "SE13",
        "There are so many connections in all.",
        LIMITS,
        "if self._inside >= self._limits.connections_max:",
        "if False:",
        ["tests/net/test_accounts.py::TurnstileTests::test_in_all"],
    ),
    Mutant(
        "SE13",
        "There are so many of one address.",
        LIMITS,
        "if self._by_address[address] >= self._limits.per_address_max:",
        "if False:",
        ["tests/net/test_accounts.py::TurnstileTests::test_from_one_address"],
    ),
    Mutant(
        "SE13",
        "So many come in a second.",
        LIMITS,
        "if self._in_second >= self._limits.per_second_max:",
        "if False:",
        ["tests/net/test_accounts.py::TurnstileTests::test_in_a_second"],
    ),
    Mutant(
        "SE13",
        "An address that left is forgotten.",
        LIMITS,
        "if not self._by_address[address]:\n    del self._by_address[address]",
        "",
        ["tests/net/test_accounts.py::TurnstileTests::test_addresses_that_left_are_forgotten"],
    ),
    Mutant(
        "SE15",
        "A fetch waits for no more than it may have.",
        "streamline/api/fetching.py",
        "self._min_bytes = min(min_bytes, self._max_bytes)",
        "self._min_bytes = min_bytes",
        ["tests/api/test_fetch.py::WaitingTests::test_more_than_it_may_have_is_not_waited_for"],
    ),
    Mutant(
        "SE15",
        "Fetch sessions remember so many partitions, all together.",
        SESSIONS,
        "if self.partitions + len(session.partitions) > self._partitions_max:",
        "if False:",
        ["tests/replication/test_sessions.py::PlaceTests::test_partitions_of_all_together"],
    ),
    Mutant(
        "SE15",
        "There are so many fetch sessions.",
        SESSIONS,
        "if session_id in self._sessions or not self._has_place(now_s):",
        "if session_id in self._sessions:",
        ["tests/replication/test_sessions.py::PlaceTests::test_full"],
    ),
    Mutant(
        "SE18",
        "Complaints about clients are counted, not all written down.",
        "streamline/net/kafka.py",
        "if self._complaints <= COMPLAINTS_PER_LOOK:",
        "if True:",
        ["tests/net/test_connection.py::EndTests::test_complaints_are_bounded"],
    ),
    Mutant(
        "SE18",
        "Control characters do not reach the log.",
        LINES,
        'return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)',
        "return text",
        ["tests/services/test_log_lines.py::SafetyTests::test_control_characters_are_escaped"],
    ),
    Mutant(
        "SE19",
        "A topic is named by letters, digits, '.', '_' and '-'.",
        "streamline/cluster/names.py",
        "if not _LEGAL.fullmatch(name):",
        "if False:",
        [f"{NAMES}test_bad", f"{NAMES}test_whatever_passes_is_one_plain_file_name"],
    ),
    Mutant(
        "SE19",
        "It is not named '.' or '..'.",
        "streamline/cluster/names.py",
        'if name in (".", ".."):',
        "if False:",
        [f"{NAMES}test_bad"],
    ),
    Mutant(
        "SE19",
        "Its name fits a file system.",
        "streamline/cluster/names.py",
        "if len(name) > NAME_LENGTH_MAX:",
        "if False:",
        [f"{NAMES}test_bad"],
    ),
)

MUTANTS = (*BYTE_LEVEL, *BATCHES, *CONNECTIONS)
