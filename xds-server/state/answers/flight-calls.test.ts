import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from "node:http2";
import { Client, type ClientDuplexStream, credentials, Metadata } from "@grpc/grpc-js";
import { Registry } from "prom-client";
import protobuf from "protobufjs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { waitFor } from "../../../envoy/harness/index.ts";
import { type GrpcServer, startGrpcServer } from "../../grpc/index.ts";
import { followPage, leadMethod } from "./flight-calls.ts";
import { createFlightMetrics } from "./flight-metrics.ts";
import { LEAD_PATH } from "./flight-protocol.ts";
import { Flights } from "./flights.ts";
import { FOLLOW_PATH } from "./follow-request.ts";
import { FLIGHT_ACK_BYTES, MAX_FLIGHTS } from "./limits.ts";

/** Leaders and followers on sockets: a gRPC client that knows the messages from their definition, and requests over HTTP/2. */

const { root } = protobuf.parse(
  `
  syntax = "proto3";
  message LeadRequest { bytes flight = 1; string content_type = 2; bytes key = 3; uint32 age_ms = 4; bytes data = 5; bool end = 6; }
  message LeadResponse { bool open = 1; uint64 received = 2; }`,
  { keepCase: true },
);
const [LeadRequest, LeadResponse] = [root.lookupType("LeadRequest"), root.lookupType("LeadResponse")];

const ID = "000102030405060708090a0b0c0d0e0f";
const FIRST = { flight: Buffer.from(ID, "hex"), content_type: "text/event-stream" };

let server: GrpcServer;
let flights: Flights;
let registry: Registry;
let client: Client;
let session: ClientHttp2Session;
/** What is to be done after a while. */
let later: (() => void)[];
let now: number;

beforeEach(async () => {
  [flights, registry, later, now] = [new Flights(), new Registry(), [], 1_000_000];
  const context = {
    flights,
    metrics: createFlightMetrics(registry, flights),
    now: () => now,
    later: (work: () => void) => void later.push(work),
  };
  server = await startGrpcServer({
    host: "127.0.0.1",
    port: 0,
    methods: new Map(),
    streams: new Map([[LEAD_PATH, leadMethod(context)]]),
    pages: new Map([[FOLLOW_PATH, followPage(context)]]),
    maxMessageBytes: 4 << 20,
    maxPendingBytes: 64 << 20,
    maxCalls: 1_000,
    keepaliveMs: 60_000,
    keepaliveTimeoutMs: 10_000,
    graceMs: 0,
    onFailure: (error) => {
      throw error;
    },
  });
  client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure());
  session = connect(`http://127.0.0.1:${server.port}`);
});
afterEach(async () => {
  client.close();
  session.destroy();
  await server.close();
});

interface Leader {
  readonly call: ClientDuplexStream<object, object>;
  readonly heard: { open?: boolean; received?: number }[];
  status: number | undefined;
}

function lead(...messages: readonly object[]): Leader {
  const call = client.makeBidiStreamRequest(
    LEAD_PATH,
    (message: object) => Buffer.from(LeadRequest.encode(message).finish()),
    (bytes: Buffer) => LeadResponse.toObject(LeadResponse.decode(bytes), { longs: Number }),
    new Metadata(),
  );
  const leader: Leader = { call, heard: [], status: undefined };
  call.on("data", (message: object) => leader.heard.push(message));
  call.on("error", () => {});
  call.on("status", ({ code }) => {
    leader.status = code;
  });
  for (const message of messages) call.write(message);
  return leader;
}

interface Reader {
  headers: IncomingHttpHeaders & { ":status"?: number | undefined };
  body: string;
  /** The error code of HTTP/2 with which the stream was closed. */
  code: number | undefined;
  leave(): void;
}

function follow(id: string, path = FOLLOW_PATH): Reader {
  const stream = session.request({ ":method": "POST", ":path": path, "x-llm-flight": id });
  const reader: Reader = { headers: {}, body: "", code: undefined, leave: () => stream.close(8) };
  stream.on("response", (headers) => {
    reader.headers = headers;
  });
  stream.on("data", (bytes: Buffer) => {
    reader.body += bytes.toString();
  });
  stream.on("error", () => {});
  stream.on("close", () => {
    reader.code = stream.rstCode;
  });
  stream.end("what the client has asked");
  return reader;
}

const until = (holds: () => boolean, what: string) => waitFor(holds, { what });
const counted = async (name: string) => {
  const { values } = (await registry.getSingleMetric(`tokenmesh_answers_${name}`)?.get()) ?? { values: [] };
  return Object.fromEntries(
    values.filter(({ value }) => value > 0).map(({ labels, value }) => [String(labels.result), value]),
  );
};

describe("an answer on its way", () => {
  it("is read from its beginning while it comes, with its head", async () => {
    const leader = lead({ ...FIRST, key: Buffer.alloc(16, 0xab), age_ms: 2_500, data: Buffer.from("data: 1\n\n") });
    await until(() => leader.heard.length === 1, "the flight to be open");
    expect(leader.heard).toEqual([{ open: true }]);
    // Queries stay on a path that Envoy rewrites.
    const readers = [follow(ID), follow(ID, `${FOLLOW_PATH}?api-version=1`)];
    await until(() => readers.every(({ body }) => body === "data: 1\n\n"), "all to read");
    expect(readers[0]?.headers).toMatchObject({
      ":status": 200,
      "content-type": "text/event-stream",
      "x-llm-cache": "coalesced",
      "x-llm-cache-key": "ab".repeat(16),
      age: "2",
    });
    leader.call.write({ data: Buffer.from("data: 2\n\n") });
    leader.call.write({ end: true });
    leader.call.end();
    const late = follow(ID);
    await until(() => [...readers, late].every(({ code }) => code === 0), "all to end");
    for (const { body } of [...readers, late]) expect(body).toBe("data: 1\n\ndata: 2\n\n");
    await until(() => leader.status === 0, "the leader to end");
    expect([await counted("flights_total"), await counted("follows_total")]).toEqual([
      { complete: 1 },
      { complete: 3 },
    ]);
    for (const work of later) work();
    expect([flights.size, flights.bytes]).toEqual([0, 0]);
    const nobody = follow(ID);
    await until(() => nobody.code !== undefined, "the refusal");
    expect([nobody.headers[":status"], JSON.parse(nobody.body).error.code]).toEqual([503, "flight_gone"]);
  });

  it("is open with its first byte, not before", async () => {
    const leader = lead(FIRST);
    await until(() => flights.size === 1, "the flight");
    const waits = follow(ID);
    leader.call.write({ data: Buffer.from("x") });
    await until(() => waits.body === "x", "the follower to read");
    expect(leader.heard).toEqual([{ open: true }]);
  });

  it.each([
    ["is reset", ({ call }: Leader) => call.cancel()],
    ["ends its stream without an end", ({ call }: Leader) => void call.end()],
  ])("breaks off for all when its leader %s: never as if it were whole", async (_, breaks) => {
    const leader = lead({ ...FIRST, data: Buffer.from("x") });
    await until(() => leader.heard.length === 1, "the flight to be open");
    const readers = [follow(ID), follow(ID)];
    await until(() => readers.every(({ body }) => body === "x"), "all to read");
    breaks(leader);
    await until(() => readers.every(({ code }) => code !== undefined), "all to break off");
    expect(readers.map(({ code }) => code)).toEqual([2, 2]);
    expect([await counted("flights_total"), await counted("follows_total")]).toEqual([{ broken: 1 }, { broken: 2 }]);
  });

  it("is a matter of its leader alone: a follower that leaves takes nothing from the others", async () => {
    const leader = lead({ ...FIRST, data: Buffer.from("x") });
    await until(() => leader.heard.length === 1, "the flight to be open");
    const [gone, stays] = [follow(ID), follow(ID)];
    await until(() => [gone, stays].every(({ body }) => body === "x"), "both to read");
    gone.leave();
    await until(() => flights.followers === 1, "one to be gone");
    leader.call.write({ data: Buffer.from("y"), end: true });
    await until(() => stays.code === 0, "the other one to end");
    expect([stays.body, await counted("follows_total")]).toEqual(["xy", { complete: 1, left: 1 }]);
  });

  it("is acknowledged as it is taken", async () => {
    const leader = lead(
      { ...FIRST, data: Buffer.alloc(FLIGHT_ACK_BYTES - 1) },
      { data: Buffer.alloc(1) },
      { data: Buffer.alloc(5) },
    );
    await until(() => leader.heard.length === 2, "an acknowledgement");
    leader.call.write({ data: Buffer.alloc(FLIGHT_ACK_BYTES) });
    await until(() => leader.heard.length === 3, "another one");
    expect(leader.heard.slice(1)).toEqual([{ received: FLIGHT_ACK_BYTES }, { received: 2 * FLIGHT_ACK_BYTES + 5 }]);
  });

  it("needs an id that nobody else has, and a type that a header can hold", async () => {
    lead({ ...FIRST, data: Buffer.from("x") });
    await until(() => flights.size === 1, "the flight");
    const refused = [
      [8, lead({ ...FIRST, data: Buffer.from("y") })],
      [3, lead({ data: Buffer.from("y") })],
      [3, lead({ ...FIRST, flight: Buffer.alloc(3) })],
      [3, lead({ ...FIRST, flight: Buffer.alloc(16), content_type: "text/plain\r\nx: y" })],
      [3, lead({ ...FIRST, flight: Buffer.alloc(16), content_type: "x".repeat(300) })],
    ] as const;
    await until(() => refused.every(([, { status }]) => status !== undefined), "all to be refused");
    expect(refused.map(([, { status }]) => status)).toEqual(refused.map(([status]) => status));
    expect(flights.size).toBe(1);
    const reader = follow(ID);
    await until(() => reader.body !== "", "the follower to read");
    expect(reader.body).toBe("x");
    for (let i = 1; i < MAX_FLIGHTS; i++) flights.begin(String(i), { contentType: "", key: undefined, askedAt: 0 });
    const more = lead({ ...FIRST, flight: Buffer.alloc(16, 1), data: Buffer.from("y") });
    await until(() => more.status === 8, "one too many to be refused");
  });
});
