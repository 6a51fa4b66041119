// What the Node suite asks of kafkajs: node client.mjs BOOTSTRAP STEP TOPIC [ARGUMENT...]
// One step per run; the result is one line of JSON on standard output.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import kafkajs from 'kafkajs'

const require = createRequire(import.meta.url)
const lz4 = require('lz4-napi')
const snappy = require('snappyjs')
const { ZstdCodec } = require('zstd-codec')

const { CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, logLevel } = kafkajs
const [bootstrap, step, topic, ...rest] = process.argv.slice(2)
const deadlineMs = 60_000

const zstd = await new Promise((resolve) => ZstdCodec.run((codec) => resolve(new codec.Simple())))
CompressionCodecs[CompressionTypes.Snappy] = () => ({
  compress: async (encoder) => Buffer.from(snappy.compress(encoder.buffer)),
  decompress: async (buffer) => Buffer.from(snappy.uncompress(buffer))
})
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async (encoder) => lz4.compressFrame(encoder.buffer),
  decompress: async (buffer) => lz4.decompressFrame(buffer)
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => Buffer.from(zstd.compress(encoder.buffer)),
  decompress: async (buffer) => Buffer.from(zstd.decompress(buffer))
})
const codecs = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD
}

const kafka = new Kafka({
  clientId: 'kafkajs',
  brokers: [bootstrap],
  logLevel: logLevel.ERROR,
  retry: { initialRetryTime: 50, retries: 10 }
})

const withAdmin = async (work) => {
  const admin = kafka.admin()
  await admin.connect()
  try {
    return await work(admin)
  } finally {
    await admin.disconnect()
  }
}

const within = (promise, what) => {
  const late = new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`${what}: nothing in ${deadlineMs} ms`)), deadlineMs).unref()
  })
  return Promise.race([promise, late])
}

const makeConsumer = (groupId) =>
  kafka.consumer({ groupId, sessionTimeout: 10_000, heartbeatInterval: 500, maxWaitTimeInMs: 100 })

// Resolves when the consumer has joined with this many partitions of the topic.
const assigned = (consumer, wanted) =>
  new Promise((resolve) => {
    const stop = consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      const partitions = payload.memberAssignment[topic] ?? []
      if (partitions.length === wanted) {
        stop()
        resolve(partitions)
      }
    })
  })

const collect = (consumer, wanted) =>
  new Promise((resolve, reject) => {
    const records = []
    const eachMessage = async ({ partition, message }) => {
      records.push({
        partition,
        offset: Number(message.offset),
        timestamp: Number(message.timestamp),
        key: message.key?.toString() ?? null,
        value: message.value.toString()
      })
      if (records.length === wanted) resolve(records)
    }
    consumer.run({ autoCommit: false, eachMessage }).catch(reject)
  })

const steps = {
  create: async (partitions) =>
    withAdmin((admin) => admin.createTopics({ topics: [{ topic, numPartitions: Number(partitions) }] })),

  // TOPIC CODEC: the records come as a JSON array on standard input.
  produce: async (codec) => {
    const records = JSON.parse(readFileSync(0, 'utf8'))
    const producer = kafka.producer({ allowAutoTopicCreation: false })
    await producer.connect()
    const messages = records.map((record) => ({ ...record, timestamp: String(record.timestamp) }))
    const answer = await producer.send({ topic, acks: -1, compression: codecs[codec], messages })
    await producer.disconnect()
    return answer
  },

  idempotent: async (count) => {
    const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1, allowAutoTopicCreation: false })
    await producer.connect()
    for (let at = 0; at < Number(count); at++) {
      await producer.send({ topic, acks: -1, messages: [{ value: `idempotent-${at}`, partition: 0 }] })
    }
    await producer.disconnect()
    return Number(count)
  },

  // TOPIC GROUP COUNT: read that many from the beginning, commit, and say what the group then has committed.
  consume: async (groupId, count) => {
    const consumer = makeConsumer(groupId)
    await consumer.connect()
    await consumer.subscribe({ topics: [topic], fromBeginning: true })
    const records = await within(collect(consumer, Number(count)), 'consume')
    const next = new Map()
    for (const { partition, offset } of records) next.set(partition, Math.max(next.get(partition) ?? 0, offset + 1))
    await consumer.commitOffsets([...next].map(([partition, offset]) => ({ topic, partition, offset: String(offset) })))
    await consumer.disconnect()
    const committed = await withAdmin((admin) => admin.fetchOffsets({ groupId, topics: [topic] }))
    return { records, committed: committed[0].partitions }
  },

  // TOPIC GROUP PARTITIONS: two members share the partitions, then one leaves and the other has them all.
  rebalance: async (groupId, partitions) => {
    const total = Number(partitions)
    const [first, second] = [makeConsumer(groupId), makeConsumer(groupId)]
    for (const consumer of [first, second]) {
      await consumer.connect()
      await consumer.subscribe({ topics: [topic], fromBeginning: true })
    }
    const run = (consumer) => consumer.run({ eachMessage: async () => {} })
    const alone = assigned(first, total)
    await run(first)
    const before = await within(alone, 'first alone')
    const shares = [assigned(first, total / 2), assigned(second, total / 2)]
    await run(second)
    const together = await within(Promise.all(shares), 'sharing')
    const described = await withAdmin((admin) => admin.describeGroups([groupId]))
    const again = assigned(first, total)
    await second.disconnect()
    const after = await within(again, 'first alone again')
    await first.disconnect()
    const { state, members } = described.groups[0]
    return { alone: before, together, after, state, members: members.length }
  },

  // TOPIC TIMESTAMP GROUP COUNT: read what is at or after the time.
  seek: async (timestamp, groupId, count) => {
    const offsets = await withAdmin((admin) => admin.fetchTopicOffsetsByTimestamp(topic, Number(timestamp)))
    const consumer = makeConsumer(groupId)
    await consumer.connect()
    await consumer.subscribe({ topics: [topic], fromBeginning: true })
    const joined = assigned(consumer, offsets.length)
    const reading = collect(consumer, Number(count))
    for (const { partition, offset } of offsets) consumer.seek({ topic, partition, offset })
    await within(joined, 'seek: join')
    const records = await within(reading, 'seek: records')
    await consumer.disconnect()
    return records
  },

  offsets: async () => withAdmin((admin) => admin.fetchTopicOffsets(topic)),

  describe: async () =>
    withAdmin(async (admin) => ({
      cluster: await admin.describeCluster(),
      topics: await admin.listTopics(),
      metadata: await admin.fetchTopicMetadata({ topics: [topic] }),
      groups: await admin.listGroups(),
      configs: await admin.describeConfigs({
        includeSynonyms: true,
        resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }]
      })
    })),

  delete: async () =>
    withAdmin(async (admin) => {
      await admin.deleteTopics({ topics: [topic] })
      return admin.listTopics()
    })
}

const result = await steps[step](...rest)
process.stdout.write(`${JSON.stringify(result ?? null)}\n`)
