import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from "node:http2";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { Registry } from "prom-client";
import protobuf from "protobufjs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { waitFor } from "../../../envoy/harness/index.ts";
import { type GrpcServer, startGrpcServer } from "../../grpc/index.ts";
import { followPage, leadMethod } from "./flight-calls.ts";
import { FlightForwarder, HOP_HEADER } from "./flight-forward.ts";
import { createFlightMetrics } from "./flight-metrics.ts";
import { type PlaceStore, parsePlace, sharedPlaces } from "./flight-places.ts";
import { LEAD_PATH } from "./flight-protocol.ts";
import { Flights } from "./flights.ts";
import { FLIGHT_HEADER, FOLLOW_PATH } from "./follow-request.ts";
import { PacedReplays } from "./paced-replays.ts";
import { REPLAY_CLOCK } from "./replay-calls.ts";

/** Two servers behind one address: the leader's answer is at one, and who follows comes to the other. */

const { root } = protobuf.parse(
  `syntax = "proto3";
  message LeadRequest { bytes flight = 1; string content_type = 2; bytes key = 3; uint32 age_ms = 4; bytes data = 5; bool end = 6; }`,
  { keepCase: true },
);
const LeadRequest = root.lookupType("LeadRequest");
const ID = "000102030405060708090a0b0c0d0e0f";
const KEY = "ab".repeat(16);

/** What all servers look at; `broken`: it cannot be asked. */
class Shared implements PlaceStore {
  readonly places = new Map<string, string>();
  broken = false;
  async setPlace(id: string, place: string): Promise<void> {
    if (this.broken) throw new Error("away");
    this.places.set(id, place);
  }
  async getPlace(id: string): Promise<string | null> {
    if (this.broken) throw new Error("away");
    return this.places.get(id) ?? null;
  }
  async dropPlace(id: string): Promise<void> {
    this.places.delete(id);
  }
}

interface Replica {
  readonly server: GrpcServer;
  readonly flights: Flights;
  readonly replays: PacedReplays;
  readonly forwarder: FlightForwarder;
  readonly registry: Registry;
  readonly session: ClientHttp2Session;
  readonly client: Client;
}

let shared: Shared;
let replicas: Replica[];
let later: (() => void)[];

async function start(): Promise<Replica> {
  const [flights, registry, forwarder] = [new Flights(), new Registry(), new FlightForwarder()];
  const replays = new PacedReplays(REPLAY_CLOCK);
  const context = {
    flights,
    replays,
    forwarder,
    places: sharedPlaces(shared),
    metrics: createFlightMetrics(registry, flights),
    now: () => 1_000_000,
    later: (work: () => void) => void later.push(work),
  };
  const server = await startGrpcServer({
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
  const session = connect(`http://127.0.0.1:${server.port}`);
  session.on("error", () => {});
  const client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure());
  return { server, flights, replays, forwarder, registry, session, client };
}

beforeEach(async () => {
  [shared, later] = [new Shared(), []];
  replicas = [await start(), await start()];
});
afterEach(async () => {
  for (const { server, forwarder, session, client } of replicas) {
    client.close();
    session.destroy();
    forwarder.close();
    await server.close();
  }
});

const replica = (place: number) => replicas[place] as Replica;

function lead(at: Replica) {
  const heard: Buffer[] = [];
  const call = at.client.makeBidiStreamRequest(
    LEAD_PATH,
    (message: object) => Buffer.from(LeadRequest.encode(message).finish()),
    (bytes: Buffer) => bytes,
    new Metadata(),
  );
  call.on("data", (message: Buffer) => heard.push(message));
  call.on("error", () => {});
  const head = { flight: Buffer.from(ID, "hex"), content_type: "text/event-stream", key: Buffer.from(KEY, "hex") };
  call.write({ ...head, data: Buffer.from("one ") });
  return { call, heard };
}

interface Reader {
  headers: IncomingHttpHeaders & { ":status"?: number | undefined };
  body: string;
  code: number | undefined;
  leave(): void;
}

function follow(at: Replica, id = ID, more: Record<string, string> = {}): Reader {
  const stream = at.session.request({ ":method": "POST", ":path": FOLLOW_PATH, [FLIGHT_HEADER]: id, ...more });
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
const open = async () => {
  const leader = lead(replica(0));
  await until(() => leader.heard.length === 1, "the flight to be open");
  return leader.call;
};
const follows = async ({ registry }: Replica) => {
  const { values } = (await registry.getSingleMetric("tokenmesh_answers_follows_total")?.get()) ?? { values: [] };
  return Object.fromEntries(
    values.filter(({ value }) => value > 0).map(({ labels, value }) => [String(labels.result), value]),
  );
};

describe("a request at the wrong server", () => {
  it("reads along all the same, beside one at the right one, with the head of the answer", async () => {
    const call = await open();
    const readers = [follow(replica(0)), follow(replica(1)), follow(replica(1))];
    await until(() => readers.every(({ body }) => body === "one "), "all to read");
    call.write({ data: Buffer.from("two") });
    await until(() => readers.every(({ body }) => body === "one two"), "all to read on");
    call.write({ end: true });
    call.end();
    await until(() => readers.every(({ code }) => code === 0), "all to end");
    for (const { headers } of readers)
      expect(headers).toMatchObject({
        ":status": 200,
        "content-type": "text/event-stream",
        "x-llm-cache": "coalesced",
        "x-llm-cache-key": KEY,
      });
    expect([await follows(replica(0)), await follows(replica(1))]).toEqual([{ complete: 3 }, { forwarded: 2 }]);
    for (const work of later) work();
    expect(shared.places.size).toBe(0);
  });

  it("sees the answer break off, never as if it were whole", async () => {
    const call = await open();
    const reader = follow(replica(1));
    await until(() => reader.body === "one ", "it to read");
    call.cancel();
    await until(() => reader.code !== undefined, "it to break off");
    expect(reader.code).toBe(2);
  });

  it("that leaves is gone at both", async () => {
    await open();
    const reader = follow(replica(1));
    await until(() => replica(0).flights.followers === 1, "it to read");
    reader.leave();
    await until(() => replica(0).flights.followers === 0, "it to be gone");
  });

  it("gets a stored stream that another one gives as it came", async () => {
    const head = { contentType: "text/event-stream", key: undefined, askedAt: 0, cache: "hit" } as const;
    const pieces = [
      { at: 0, end: 2 },
      { at: 1, end: 4 },
    ];
    const id = replica(0).replays.begin({ head, identity: "a", body: Buffer.from("aabb"), pieces }) ?? "";
    shared.places.set(id, `127.0.0.1:${replica(0).server.port}`);
    const reader = follow(replica(1), id);
    await until(() => reader.code === 0, "it to end");
    expect([reader.body, reader.headers["x-llm-cache"]]).toEqual(["aabb", "hit"]);
  });

  it.each([
    ["nobody knows of it", () => {}],
    ["its server has lost it", () => shared.places.set(ID, `127.0.0.1:${replica(0).server.port}`)],
    ["its server is away", () => shared.places.set(ID, "127.0.0.1:1")],
    ["it itself is to have it", () => shared.places.set(ID, `127.0.0.1:${replica(1).server.port}`)],
    ["the place is a name", () => shared.places.set(ID, `localhost:${replica(0).server.port}`)],
    [
      "the store is away",
      () => {
        shared.broken = true;
      },
    ],
  ])("is answered when %s", async (_what, given) => {
    given();
    const reader = follow(replica(1));
    await until(() => reader.code !== undefined, "an answer");
    expect([reader.headers[":status"], JSON.parse(reader.body).error.code]).toEqual([503, "flight_gone"]);
  });

  it("is passed on once only, and nobody's word but the store's is taken for a place", async () => {
    await open();
    const reader = follow(replica(1), ID, { [HOP_HEADER]: "1" });
    await until(() => reader.code !== undefined, "an answer");
    expect(reader.headers[":status"]).toBe(503);
    for (const id of ["", "*", `${ID}:x`, "127.0.0.1:1"]) {
      const other = follow(replica(1), id);
      await until(() => other.code !== undefined, "an answer");
      expect(other.headers[":status"]).toBe(503);
    }
  });

  it("leads to a flight that opens without the store, for its own server alone", async () => {
    shared.broken = true;
    await open();
    const reader = follow(replica(0));
    await until(() => reader.body === "one ", "it to read");
  });
});

it("a place is an address and a port", () => {
  expect(parsePlace("10.0.0.7:18000")).toEqual({ host: "10.0.0.7", port: 18_000 });
  expect(parsePlace("[fd00::7]:18000")).toEqual({ host: "fd00::7", port: 18_000 });
  for (const text of ["", "a:1", "10.0.0.7", "10.0.0.7:0", "10.0.0.7:65536", "10.0.0.300:1", "fd00::7:1", "[::1]:1/x"])
    expect(parsePlace(text)).toBeUndefined();
});
