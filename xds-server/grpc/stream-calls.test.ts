import { type ClientHttp2Session, connect, constants, type SecureClientSessionOptions } from "node:http2";
import type { TLSSocket } from "node:tls";
import { Client, type ClientDuplexStream, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { afterEach, describe, expect, it } from "vitest";
import { waitFor } from "../../envoy/harness/index.ts";
import {
  AUTHORITY,
  ENVOY,
  ENVOY_SPIFFE_ID,
  NAMELESS,
  ROTATED,
  SERVER,
  STRANGER,
} from "../../test/fixtures/tls/index.ts";
import {
  type GrpcServer,
  type GrpcServerOptions,
  type Peer,
  Status,
  type StreamCall,
  startGrpcServer,
} from "./index.ts";

/** Streams of messages, connections and TLS: against grpc-js, and against HTTP/2 by hand. */

const PATH = "/test.Echo/Stream";
const pass = (bytes: Buffer): Buffer => bytes;

describe("stream calls", () => {
  const toStop: (() => Promise<void> | void)[] = [];
  const failures: unknown[] = [];
  const calls: StreamCall[] = [];
  const closed: StreamCall[] = [];
  afterEach(async () => {
    for (const stop of toStop.splice(0).reverse()) await stop();
    for (const list of [failures, calls, closed]) list.length = 0;
  });

  /** Echoes; "end CODE" ends the call with that status, "fail" is a mistake. */
  const echo = (call: StreamCall) => {
    calls.push(call);
    call.onMessage = (message) => {
      const text = message.toString();
      if (text.startsWith("end ")) call.end(Number(text.slice(4)) as Status, "über & out");
      else if (text === "fail") throw new Error("secret");
      else call.write(Buffer.from("echo "), message);
    };
    call.onHalfClose = () => call.end(Status.ok);
    call.onClose = () => closed.push(call);
  };

  async function start(options: Partial<GrpcServerOptions> = {}): Promise<GrpcServer> {
    const server = await startGrpcServer({
      ...{ host: "127.0.0.1", port: 0, methods: new Map(), streams: new Map([[PATH, echo]]) },
      ...{ maxMessageBytes: 1_000_000, maxPendingBytes: 1_000_000, maxCalls: 100 },
      ...{ keepaliveMs: 60_000, keepaliveTimeoutMs: 60_000, graceMs: 5_000 },
      onFailure: (error) => failures.push(error),
      ...options,
    });
    toStop.push(() => server.close());
    return server;
  }

  function open({ port }: GrpcServer) {
    // Clients of one address would share their connection.
    const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
      "grpc.use_local_subchannel_pool": 1,
    });
    toStop.push(() => client.close());
    const call: ClientDuplexStream<Buffer, Buffer> = client.makeBidiStreamRequest(PATH, pass, pass, new Metadata());
    const stream = { call, answers: [] as Buffer[], error: undefined as ServiceError | undefined, ended: false };
    call.on("data", (bytes: Buffer) => stream.answers.push(bytes));
    call.on("error", (error: ServiceError) => {
      stream.error = error;
    });
    call.on("end", () => {
      stream.ended = true;
    });
    const until = (what: string, done: () => boolean) => waitFor(done, { timeoutMs: 5_000, what });
    return { ...stream, state: stream, until, send: (text: string | Buffer) => call.write(Buffer.from(text)) };
  }

  it("carry messages of every size in order, until both sides are done", async () => {
    const { send, state, until, call } = open(await start());
    const sizes = [0, 1, 16_379, 16_384, 70_000, 999_990];
    for (const size of sizes) send(Buffer.alloc(size, size % 251));
    await until("all answers", () => state.answers.length === sizes.length);
    expect(state.answers.map(({ length }) => length - 5)).toEqual(sizes);
    call.end();
    await until("the end", () => state.ended && closed.length === 1);
    expect(state.error).toBeUndefined();
    expect(failures).toEqual([]);
  });

  it.each([Status.ok, Status.invalidArgument, Status.unavailable, Status.permissionDenied])(
    "end with status %i and its message, before and after the first answer",
    async (code) => {
      const server = await start();
      for (const first of [true, false]) {
        const { send, state, until } = open(server);
        if (!first) {
          send("x");
          await until("an answer", () => state.answers.length === 1);
        }
        send(`end ${code}`);
        await until("the end", () => state.ended || state.error !== undefined);
        if (code === Status.ok) expect(state.error).toBeUndefined();
        else expect(state.error).toMatchObject({ code, details: "über & out" });
      }
      await waitFor(() => closed.length === 2, { timeoutMs: 5_000, what: "the calls to be forgotten" });
    },
  );

  it("a mistake ends its own call, and nothing of it is told", async () => {
    const server = await start();
    const [bad, good] = [open(server), open(server)];
    bad.send("fail");
    await bad.until("the end", () => bad.state.error !== undefined);
    expect(bad.state.error).toMatchObject({ code: status.INTERNAL, details: "internal error; see the server's log" });
    expect(failures).toMatchObject([{ message: "secret" }]);
    good.send("x");
    await good.until("an answer", () => good.state.answers.length === 1);
  });

  it("a mistake when a call begins ends that call", async () => {
    const broken = () => {
      throw new Error("broken");
    };
    const { state, until, send } = open(await start({ streams: new Map([[PATH, broken]]) }));
    send("x");
    await until("the end", () => state.error !== undefined);
    expect(state.error?.code).toBe(status.INTERNAL);
  });

  it("refuse a message that is too long", async () => {
    const { send, state, until } = open(await start());
    send(Buffer.alloc(1_000_001));
    await until("the end", () => state.error !== undefined);
    expect(state.error?.code).toBe(status.RESOURCE_EXHAUSTED);
  });

  it("a client that is gone is noticed", async () => {
    const { send, state, until, call } = open(await start());
    send("x");
    await until("an answer", () => state.answers.length === 1);
    call.cancel();
    await until("the end here", () => closed.length === 1);
  });

  function session(
    { port }: GrpcServer,
    options: SecureClientSessionOptions & { tls?: boolean } = {},
  ): ClientHttp2Session {
    const opened = connect(`${options.tls === true ? "https" : "http"}://localhost:${port}`, {
      settings: { initialWindowSize: 1_000 },
      ...options,
    });
    opened.on("error", () => {});
    toStop.push(() => opened.destroy());
    return opened;
  }

  function request(on: ClientHttp2Session) {
    const stream = on.request({ ":method": "POST", ":path": PATH, "content-type": "application/grpc", te: "trailers" });
    stream.on("error", () => {});
    stream.pause();
    const frame = (text: string) => Buffer.concat([Buffer.from([0, 0, 0, 0, text.length]), Buffer.from(text)]);
    return { stream, send: (text: string) => stream.write(frame(text)) };
  }

  it("say when the buffer of a peer that does not read is full, and end in bounded time", async () => {
    const server = await start();
    const { send, stream } = request(session(server));
    send("x");
    await waitFor(() => calls.length === 1, { timeoutMs: 5_000, what: "the call" });
    const [call] = calls;
    if (call === undefined) throw new Error("no call");
    const shared = Buffer.alloc(20_000, 1);
    let writes = 0;
    while (call.write(Buffer.from("head"), shared)) expect(++writes).toBeLessThan(10);
    expect(call.bufferedBytes).toBeGreaterThan(0);
    let drained = false;
    call.onDrain = () => {
      drained = true;
    };
    const began = performance.now();
    call.end(Status.unavailable, "enough");
    expect(closed).toEqual([call]);
    expect(call.write(Buffer.from("more"))).toBe(false);
    await waitFor(() => stream.closed, { timeoutMs: 5_000, what: "the reset" });
    expect(stream.rstCode).toBe(constants.NGHTTP2_CANCEL);
    expect(performance.now() - began).toBeLessThan(4_000);
    expect(drained).toBe(false);
  });

  it("go on when the peer reads again", async () => {
    const server = await start();
    const { send, stream } = request(session(server));
    send("x");
    await waitFor(() => calls.length === 1, { timeoutMs: 5_000, what: "the call" });
    const [call] = calls;
    if (call === undefined) throw new Error("no call");
    let drained = false;
    call.onDrain = () => {
      drained = true;
    };
    while (call.write(Buffer.from("head"), Buffer.alloc(20_000, 1))) {}
    stream.resume();
    await waitFor(() => drained, { timeoutMs: 5_000, what: "the drain" });
    expect(call.bufferedBytes).toBe(0);
  });

  it("an old connection is told to go: GOAWAY, and its streams end with OK", async () => {
    const server = await start({ maxConnectionAgeMs: 100, random: () => 0 });
    const opened = session(server, { settings: {} });
    const { send, stream } = request(opened);
    let goaway = false;
    let trailers: unknown;
    opened.on("goaway", () => {
      goaway = true;
    });
    stream.on("trailers", (each) => {
      trailers = each;
    });
    stream.resume();
    send("x");
    await waitFor(() => stream.closed, { timeoutMs: 5_000, what: "the end" });
    expect(goaway).toBe(true);
    expect(trailers).toMatchObject({ "grpc-status": "0" });
  });

  it("all streams of a connection end with it, also when the first of them was over before", async () => {
    const server = await start();
    const opened = session(server, { settings: {} });
    const trailers: unknown[] = [];
    const another = () => {
      const { send, stream } = request(opened);
      stream.on("trailers", (each) => trailers.push(each["grpc-status"]));
      stream.resume();
      send("x");
      return send;
    };
    const [sendFirst] = [another(), another(), another()];
    await waitFor(() => calls.length === 3, { timeoutMs: 5_000, what: "three calls" });
    sendFirst?.("end 0");
    await waitFor(() => trailers.length === 1, { timeoutMs: 5_000, what: "the end of the first" });
    another();
    await waitFor(() => calls.length === 4, { timeoutMs: 5_000, what: "another call" });
    await server.close();
    await waitFor(() => trailers.length === 4, { timeoutMs: 5_000, what: "all ends" });
    expect(trailers).toEqual(["0", "14", "14", "14"]);
  });

  it("close() ends streams with UNAVAILABLE, spread over time, and leaves no connection", async () => {
    const server = await start();
    const streams = Array.from({ length: 4 }, () => open(server));
    for (const { send } of streams) send("x");
    await waitFor(() => streams.every(({ state }) => state.answers.length === 1), { timeoutMs: 5_000, what: "all" });
    const ends: number[] = [];
    for (const { call } of streams) call.on("error", () => ends.push(performance.now()));
    const began = performance.now();
    await server.close(400);
    expect(performance.now() - began).toBeGreaterThan(250);
    await waitFor(() => ends.length === 4, { timeoutMs: 5_000, what: "all ends" });
    expect(streams.map(({ state }) => state.error?.code)).toEqual(Array.from({ length: 4 }, () => status.UNAVAILABLE));
    await waitFor(() => server.connections === 0, { timeoutMs: 5_000, what: "the last connection to go" });
  });

  it("more connections than allowed are closed at once", async () => {
    const server = await start({ maxConnections: 1 });
    const first = open(server);
    first.send("x");
    await first.until("an answer", () => first.state.answers.length === 1);
    const second = session(server);
    await waitFor(() => second.destroyed, { timeoutMs: 5_000, what: "the refusal" });
    expect(server.connections).toBe(1);
  });

  describe("with TLS", () => {
    const peers = async (server: GrpcServer, client: { cert?: string; key?: string }): Promise<Peer | undefined> => {
      const before = calls.length;
      const opened = session(server, { tls: true, ca: AUTHORITY, ...client });
      const { send } = request(opened);
      send("x");
      await waitFor(() => calls.length > before || opened.destroyed, {
        timeoutMs: 5_000,
        what: "the call or a refusal",
      });
      return calls[before]?.peer;
    };

    it("tells the SPIFFE id of a client that a trusted authority has signed", async () => {
      const server = await start({ tls: { ...SERVER, clientCa: AUTHORITY } });
      expect(await peers(server, ENVOY)).toMatchObject({ tls: true, spiffeId: ENVOY_SPIFFE_ID });
      const nameless = await peers(server, NAMELESS);
      expect(nameless).toMatchObject({ tls: true });
      expect(nameless?.spiffeId).toBeUndefined();
    });

    it("refuses a client without certificate, and one that a stranger has signed", async () => {
      const reasons: string[] = [];
      const server = await start({
        tls: { ...SERVER, clientCa: AUTHORITY },
        onHandshakeFailure: (reason) => reasons.push(reason),
      });
      expect(await peers(server, {})).toBeUndefined();
      expect(await peers(server, STRANGER)).toBeUndefined();
      expect(reasons).toHaveLength(2);
      expect(calls).toEqual([]);
    });

    it("without authorities of clients everybody may come, and nobody has an id", async () => {
      const server = await start({ tls: SERVER });
      expect(await peers(server, {})).toMatchObject({ tls: true });
      expect((await peers(server, ENVOY))?.spiffeId).toBeUndefined();
    });

    it("takes rotated certificates for new connections", async () => {
      const server = await start({ tls: SERVER });
      const certificate = async () => {
        const opened = session(server, { tls: true, ca: AUTHORITY });
        await new Promise((resolve) => opened.on("connect", resolve));
        return (opened.socket as TLSSocket).getPeerCertificate().subject.CN;
      };
      expect(await certificate()).toBe("server");
      server.setTls(ROTATED);
      expect(await certificate()).toBe("rotated");
    });
  });
});
