import { type ClientHttp2Session, connect, constants, type OutgoingHttpHeaders } from "node:http2";
import { createConnection, type Socket } from "node:net";
import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { waitFor } from "../../envoy/harness/index.ts";
import {
  CallError,
  type GrpcServer,
  type GrpcServerOptions,
  Status,
  startGrpcServer,
  type UnaryMethod,
} from "./index.ts";

/** Unary gRPC over HTTP/2: against grpc-js as a client, requests by hand, and bytes that are no HTTP/2. */

const ECHO = "/test.Echo/Echo";
const PATH_OF = { echo: ECHO, slow: "/test.Echo/Slow", fail: "/test.Echo/Fail", broken: "/test.Echo/Broken" };

describe("unary server", () => {
  const toStop: (() => Promise<void> | void)[] = [];
  const failures: unknown[] = [];
  let release: () => void = () => {};
  let started = 0;
  let echoed = 0;
  afterEach(async () => {
    release();
    for (const stop of toStop.splice(0).reverse()) await stop();
    failures.length = 0;
    started = 0;
    echoed = 0;
  });

  async function start(options: Partial<GrpcServerOptions> = {}): Promise<GrpcServer & { address: string }> {
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const server = await startGrpcServer({
      host: "127.0.0.1",
      port: 0,
      methods: new Map<string, UnaryMethod>([
        [
          PATH_OF.echo,
          (message) => {
            echoed++;
            return message;
          },
        ],
        [
          PATH_OF.slow,
          async (message) => {
            started++;
            await held;
            return message;
          },
        ],
        [
          PATH_OF.fail,
          (message) => {
            throw new CallError(Status.invalidArgument, message.toString());
          },
        ],
        [PATH_OF.broken, () => Promise.reject(new Error("secret"))],
      ]),
      maxMessageBytes: 100_000,
      maxPendingBytes: 1_000_000,
      maxCalls: 100,
      keepaliveMs: 60_000,
      keepaliveTimeoutMs: 60_000,
      graceMs: 5_000,
      onFailure: (error) => failures.push(error),
      ...options,
    });
    toStop.push(() => server.close());
    return { ...server, address: `127.0.0.1:${server.port}` };
  }

  const pass = (bytes: Buffer): Buffer => bytes;
  function client({ address }: { address: string }) {
    const made = new Client(address, credentials.createInsecure());
    toStop.push(() => made.close());
    return (path: string, message: Buffer | string, metadata = new Metadata()): Promise<Buffer> =>
      new Promise((resolve, reject) => {
        made.makeUnaryRequest(path, pass, pass, Buffer.from(message), metadata, (error, answer) => {
          if (error === null) resolve(answer ?? Buffer.alloc(0));
          else reject(error);
        });
      });
  }

  function session({ address }: { address: string }): ClientHttp2Session {
    const opened = connect(`http://${address}`);
    opened.on("error", () => {});
    toStop.push(() => opened.destroy());
    return opened;
  }

  interface Answer {
    readonly headers: Readonly<Record<string, unknown>>;
    readonly trailers: Readonly<Record<string, unknown>> | undefined;
    readonly body: string;
    readonly reset: number | undefined;
  }

  /** One request by hand; `parts` are DATA frames. */
  function request(
    on: ClientHttp2Session,
    parts: readonly Buffer[],
    headers: OutgoingHttpHeaders = {},
  ): Promise<Answer> {
    return new Promise((resolve) => {
      const stream = on.request({
        ":method": "POST",
        ":path": ECHO,
        "content-type": "application/grpc",
        te: "trailers",
        ...headers,
      });
      let answered: Readonly<Record<string, unknown>> = {};
      let trailers: Readonly<Record<string, unknown>> | undefined;
      const body: Buffer[] = [];
      stream.on("response", (each) => {
        answered = each;
      });
      stream.on("trailers", (each) => {
        trailers = each;
      });
      stream.on("data", (bytes: Buffer) => body.push(bytes));
      stream.on("error", () => {});
      stream.on("close", () =>
        resolve({ headers: answered, trailers, body: Buffer.concat(body).toString("hex"), reset: stream.rstCode }),
      );
      for (const part of parts) stream.write(part);
      stream.end();
    });
  }

  const framed = (message: string, { flag = 0, length = Buffer.byteLength(message) } = {}) => {
    const prefix = Buffer.from([flag, 0, 0, 0, 0]);
    prefix.writeUInt32BE(length, 1);
    return Buffer.concat([prefix, Buffer.from(message)]);
  };
  const statusOf = ({ headers, trailers }: Answer) => (trailers ?? headers)["grpc-status"];

  it("answers grpc-js: messages of every size, many at a time", async () => {
    const call = client(await start());
    expect(await call(ECHO, "")).toEqual(Buffer.alloc(0));
    const messages = [1, 5, 16_379, 16_384, 70_000, 100_000].map((length) => Buffer.alloc(length, length % 251));
    expect(await Promise.all(messages.map((message) => call(ECHO, message)))).toEqual(messages);
    const many = Array.from({ length: 300 }, (_, n) => `message ${n}`);
    expect((await Promise.all(many.map((message) => call(ECHO, message)))).map(String)).toEqual(many);
  });

  it("puts an answer into headers, one message and trailers", async () => {
    const answer = await request(session(await start()), [framed("hi")]);
    expect(answer).toMatchObject({
      headers: { ":status": 200, "content-type": "application/grpc" },
      body: "00000000026869",
      reset: constants.NGHTTP2_NO_ERROR,
    });
    expect(Object.entries(answer.trailers ?? {})).toEqual([["grpc-status", "0"]]);
  });

  it("takes a message in whatever parts it comes", async () => {
    const on = session(await start());
    await fc.assert(
      fc.asyncProperty(fc.string({ maxLength: 60 }), fc.array(fc.nat(70), { maxLength: 6 }), async (text, cuts) => {
        const whole = framed(text);
        const places = [0, ...cuts.map((cut) => Math.min(cut, whole.length)).sort((a, b) => a - b), whole.length];
        const parts = places.slice(1).map((to, index) => whole.subarray(places[index], to));
        const answer = await request(on, parts);
        expect([statusOf(answer), answer.body]).toEqual(["0", whole.toString("hex")]);
      }),
      { numRuns: 60 },
    );
  });

  it("ends a call with the status and text of its method, whatever is in it", async () => {
    const call = client(await start());
    for (const text of ["plain", "100 % sure\r\n", "Größe 𝄞 \ud800 \u0000", ""]) {
      await expect(call(PATH_OF.fail, text)).rejects.toMatchObject({
        code: status.INVALID_ARGUMENT,
        details: Buffer.from(text).toString(),
      } satisfies Partial<ServiceError>);
    }
  });

  it("tells callers nothing of what went wrong inside, and reports it", async () => {
    const call = client(await start());
    await expect(call(PATH_OF.broken, "x")).rejects.toMatchObject({
      code: status.INTERNAL,
      details: "internal error; see the server's log",
    });
    expect(failures).toEqual([new Error("secret")]);
  });

  it.each<[string, readonly Buffer[], OutgoingHttpHeaders, string]>([
    ["a method that does not exist", [framed("x")], { ":path": "/nowhere" }, "12"],
    ["a path of the prototype", [framed("x")], { ":path": "/__proto__" }, "12"],
    ["a compressed message", [framed("x", { flag: 1 })], { "grpc-encoding": "gzip" }, "12"],
    ["a flag that does not exist", [framed("x", { flag: 2 })], {}, "13"],
    ["no message", [], {}, "13"],
    ["half a prefix", [Buffer.from([0, 0, 0])], {}, "13"],
    ["half a message", [framed("x", { length: 2 })], {}, "13"],
    ["two messages", [framed("x"), framed("y")], {}, "13"],
    ["a length of 4 GB", [framed("x", { length: 0xffff_ffff })], {}, "13"],
    ["a message that is too long", [Buffer.alloc(100_006)], {}, "8"],
    ["a short message and too much behind it", [framed("x"), Buffer.alloc(100_006)], {}, "8"],
  ])("refuses %s, and goes on", async (_name, parts, headers, code) => {
    const on = session(await start());
    const answer = await request(on, parts, headers);
    expect(answer.headers).toMatchObject({ ":status": 200, "content-type": "application/grpc", "grpc-status": code });
    expect([answer.trailers, answer.body]).toEqual([undefined, ""]);
    expect(statusOf(await request(on, [framed("after")]))).toBe("0");
    expect(echoed).toBe(1);
  });

  it("refuses requests that are no gRPC in HTTP's own words", async () => {
    const on = session(await start());
    expect((await request(on, [], { ":method": "GET" })).headers[":status"]).toBe(405);
    for (const type of ["application/json", "application/grpcx", ""]) {
      expect((await request(on, [framed("x")], { "content-type": type })).headers[":status"]).toBe(415);
    }
    for (const type of ["application/grpc+proto", "application/grpc;charset=x"]) {
      expect(statusOf(await request(on, [framed("x")], { "content-type": type }))).toBe("0");
    }
  });

  it("holds no more of one connection than it may, and has room again when calls end", async () => {
    const on = session(await start({ maxPendingBytes: 50_000 }));
    const open = await Promise.all(
      Array.from({ length: 3 }, async () => {
        const stream = on.request({ ":method": "POST", ":path": ECHO, "content-type": "application/grpc" });
        stream.on("error", () => {});
        await new Promise((resolve) => stream.write(Buffer.alloc(15_000), resolve));
        return stream;
      }),
    );
    expect((await request(on, [framed("x".repeat(15_000))])).headers["grpc-status"]).toBe("8");
    for (const stream of open) stream.close(constants.NGHTTP2_CANCEL);
    await waitFor(async () => statusOf(await request(on, [framed("x".repeat(15_000))])) === "0", { what: "room" });
  });

  it("does not make a call that it has refused", async () => {
    const on = session(await start({ maxPendingBytes: 100 }));
    expect((await request(on, [framed("whole"), Buffer.alloc(200)])).headers["grpc-status"]).toBe("8");
    expect(statusOf(await request(on, [framed("x")]))).toBe("0");
    expect(echoed).toBe(1);
  });

  it("has no more calls under way on a connection than it may", async () => {
    const on = session(await start({ maxCalls: 4 }));
    await new Promise((resolve) => on.once("remoteSettings", resolve));
    const calls = Array.from({ length: 9 }, (_, n) => request(on, [framed(String(n))], { ":path": PATH_OF.slow }));
    await waitFor(() => started === 4, { what: "calls" });
    expect(statusOf(await request(session({ address: `127.0.0.1:${on.socket.remotePort}` }), [framed("x")]))).toBe("0");
    expect(started).toBe(4);
    release();
    const answers = await Promise.all(calls);
    expect(answers.map(statusOf)).toEqual(new Array(9).fill("0"));
  });

  it("forgets calls that are given up", async () => {
    const server = await start();
    const on = session(server);
    for (let n = 0; n < 20; n++) {
      const stream = on.request({ ":method": "POST", ":path": PATH_OF.slow, "content-type": "application/grpc" });
      stream.on("error", () => {});
      stream.end(framed("x"));
      if (n % 2) await waitFor(() => started > n / 2, { what: "the call" });
      stream.close(constants.NGHTTP2_CANCEL);
    }
    release();
    expect(statusOf(await request(on, [framed("x")]))).toBe("0");
    expect(failures).toEqual([]);
  });

  describe("on a bare connection", () => {
    const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    const frame = (type: number, flags: number, id: number, payload: Buffer, length = payload.length) => {
      const head = Buffer.alloc(9);
      head.writeUIntBE(length, 0, 3);
      head[3] = type;
      head[4] = flags;
      head.writeUInt32BE(id, 5);
      return Buffer.concat([head, payload]);
    };
    const settings = frame(4, 0, 0, Buffer.alloc(0));

    async function bare(port: number): Promise<{ socket: Socket; received: () => Buffer; closed: () => boolean }> {
      const socket = createConnection(port, "127.0.0.1");
      const parts: Buffer[] = [];
      let closed = false;
      socket.on("data", (bytes) => parts.push(bytes));
      socket.on("error", () => {});
      socket.on("close", () => {
        closed = true;
      });
      toStop.push(() => void socket.destroy());
      await new Promise((resolve) => socket.once("connect", resolve));
      return { socket, received: () => Buffer.concat(parts), closed: () => closed };
    }

    /** :method POST, :scheme http, :path, content-type; all literal. */
    const headerBlock = (path: string) => {
      const text = (value: string) => Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
      return Buffer.concat([
        Buffer.from([0x83, 0x86, 0x04]),
        text(path),
        Buffer.from([0x0f, 0x10]),
        text("application/grpc"),
      ]);
    };

    it.each<[string, readonly Buffer[]]>([
      ["HTTP/1.1", [Buffer.from("GET / HTTP/1.1\r\nhost: x\r\n\r\n")]],
      ["noise", [Buffer.alloc(64, 0xa5)]],
      ["a frame that is too long", [PREFACE, settings, frame(0, 0, 1, Buffer.alloc(9), 0xffffff)]],
      ["data for a stream that does not exist", [PREFACE, settings, frame(0, 1, 7, Buffer.alloc(5))]],
      [
        "headers that are no HPACK",
        [PREFACE, settings, frame(1, 5, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]))],
      ],
      ["a stream with an even number", [PREFACE, settings, frame(1, 5, 2, headerBlock(ECHO))]],
      ["settings of a wrong length", [PREFACE, frame(4, 0, 0, Buffer.alloc(5))]],
      ["a window of 0 more", [PREFACE, settings, frame(8, 0, 0, Buffer.alloc(4))]],
      [
        "headers without end",
        [
          PREFACE,
          settings,
          frame(1, 0, 1, headerBlock(ECHO)),
          ...new Array(2_000).fill(frame(9, 0, 1, Buffer.alloc(1_000, 0x40))),
        ],
      ],
    ])("closes it on %s, and serves others", async (_name, parts) => {
      // Of some node says GOAWAY and no more; then it is the keepalive that closes it.
      const server = await start({ keepaliveMs: 50, keepaliveTimeoutMs: 1_000 });
      const { socket, closed } = await bare(server.port);
      socket.write(Buffer.concat(parts));
      await waitFor(closed, { what: "the end of the connection" });
      expect(statusOf(await request(session(server), [framed("x")]))).toBe("0");
      expect(failures).toEqual([]);
    });

    it("survives floods of settings, pings and resets", async () => {
      const server = await start();
      const flood = (...frames: readonly Buffer[]) => Buffer.concat([PREFACE, settings, ...frames]);
      const ids = Array.from({ length: 3_000 }, (_, n) => 2 * n + 1);
      for (const bytes of [
        flood(...new Array(5_000).fill(settings)),
        flood(...new Array(5_000).fill(frame(6, 0, 0, Buffer.alloc(8)))),
        flood(...ids.flatMap((id) => [frame(1, 4, id, headerBlock(ECHO)), frame(3, 0, id, Buffer.from([0, 0, 0, 8]))])),
      ]) {
        const { socket } = await bare(server.port);
        socket.write(bytes);
      }
      expect(statusOf(await request(session(server), [framed("x")]))).toBe("0");
    });

    it("survives any frames", async () => {
      const server = await start();
      const on = session(server);
      const frames = fc.array(
        fc
          .record({
            type: fc.integer({ min: 0, max: 11 }),
            flags: fc.constantFrom(0, 1, 4, 5, 8, 32, 255),
            id: fc.constantFrom(0, 1, 3, 5, 2 ** 31 - 1),
            payload: fc.oneof(
              fc.uint8Array({ maxLength: 40 }),
              fc.constant(headerBlock(ECHO)),
              fc.constant(framed("x")),
            ),
          })
          .map(({ type, flags, id, payload }) => frame(type, flags, id, Buffer.from(payload))),
        { maxLength: 12 },
      );
      await fc.assert(
        fc.asyncProperty(frames, async (list) => {
          const { socket } = await bare(server.port);
          socket.write(Buffer.concat([PREFACE, settings, ...list]));
          expect(statusOf(await request(on, [framed("x")]))).toBe("0");
          socket.destroy();
        }),
        { numRuns: 100 },
      );
      expect(failures).toEqual([]);
    });

    it("is closed when its peer answers no pings, and stays when it does", async () => {
      const server = await start({ keepaliveMs: 50, keepaliveTimeoutMs: 1_000 });
      const on = session(server);
      const { socket, closed } = await bare(server.port);
      socket.write(Buffer.concat([PREFACE, settings]));
      await waitFor(closed, { what: "the end of the silent connection" });
      expect(statusOf(await request(on, [framed("x")]))).toBe("0");
      expect(on.closed).toBe(false);
    });
  });

  it("lets calls finish when it closes, and takes no new ones", async () => {
    const server = await start();
    const on = session(server);
    let left = false;
    on.on("goaway", () => {
      left = true;
    });
    const slow = request(on, [framed("x")], { ":path": PATH_OF.slow });
    const idle = session(server);
    await request(idle, [framed("x")]);
    await waitFor(() => started === 1, { what: "the call" });
    const closed = server.close();
    await waitFor(() => left && idle.closed, { what: "GOAWAY" });
    release();
    expect(statusOf(await slow)).toBe("0");
    await closed;
    await expect(client(server)(ECHO, "x")).rejects.toMatchObject({ code: status.UNAVAILABLE });
  });

  it("does not wait for ever when it closes", async () => {
    const server = await start({ graceMs: 50 });
    const slow = request(session(server), [framed("x")], { ":path": PATH_OF.slow });
    await waitFor(() => started === 1, { what: "the call" });
    await server.close();
    expect((await slow).headers).toEqual({});
  });

  it("says where it cannot listen", async () => {
    const { port } = await start();
    await expect(start({ port })).rejects.toMatchObject({ code: "EADDRINUSE" });
  });
});
