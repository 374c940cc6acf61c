/** Clients that see each byte and how an answer ends. */
import { type Agent, request as request1 } from "node:http";
import { type ClientHttp2Session, connect as connect2 } from "node:http2";
import { request as requestTls } from "node:https";
import { connect } from "node:net";

/** A stream as its client saw it. */
export interface Seen {
  readonly body: string;
  /** "end", or what went wrong. */
  readonly end: string;
  /** Events with text in them. */
  readonly tokens: number;
  /** Whether it ended as a stream does that was stopped. */
  readonly stopped: boolean;
}

/** Of chat completions. */
const STOPPED = /"finish_reason":"length"\}\]\}\n\ndata: \[DONE\]\n\n$/;

export function seen(body: string, end: string): Seen {
  return { body, end, tokens: body.split('"content":').length - 1, stopped: STOPPED.test(body) };
}

export interface Ask {
  readonly team: string;
  /** Name of the stream; default the team. */
  readonly name?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly path?: string;
}

export const BODY = JSON.stringify({
  model: "m",
  messages: [{ role: "user", content: "hi" }],
  stream: true,
  max_tokens: 20,
});

const headersOf = ({ team, name = team, headers }: Ask) => ({
  ...{ "x-team": team, "x-case": name, "content-type": "application/json" },
  ...headers,
});

export function ask1(url: string, one: Ask, agent: Agent | false = false): Promise<Seen> {
  return new Promise((resolve) => {
    let body = "";
    const fail = (error: Error) => resolve(seen(body, error.message));
    const options = { method: "POST", agent, headers: headersOf(one) };
    const request = url.startsWith("https:") ? requestTls : request1;
    const outgoing = request(`${url}${one.path ?? "/v1/chat/completions"}`, options, (answer) => {
      answer.setEncoding("latin1");
      answer.on("data", (piece: string) => (body += piece));
      answer.on("error", fail);
      answer.on("end", () => resolve(seen(body, "end")));
    });
    outgoing.on("error", fail);
    outgoing.end(BODY);
  });
}

/** Of one HTTP/2 connection, which `settings` may make small. */
export function session(url: string, settings: object = {}, ca?: string): Promise<ClientHttp2Session> {
  return new Promise((resolve, reject) => {
    const made = connect2(url, { settings, ...(ca === undefined ? {} : { ca }) });
    made.once("error", reject);
    made.once("connect", () => resolve(made));
  });
}

export interface Seen2 extends Seen {
  /** Code of the RST_STREAM; 0: none, or no error. */
  readonly code: number;
}

export function ask2(to: ClientHttp2Session, one: Ask, onPiece: (piece: string) => void = () => {}): Promise<Seen2> {
  return new Promise((resolve) => {
    const stream = to.request({ ":method": "POST", ":path": one.path ?? "/v1/chat/completions", ...headersOf(one) });
    let body = "";
    let end = "nothing";
    stream.setEncoding("latin1");
    stream.on("data", (piece: string) => {
      body += piece;
      onPiece(piece);
    });
    stream.on("end", () => (end = end === "nothing" ? "end" : end));
    stream.on("aborted", () => (end = "aborted"));
    stream.on("error", (error: Error) => (end = error.message));
    stream.on("close", () => resolve({ ...seen(body, end), code: stream.rstCode ?? -1 }));
    stream.end(BODY);
  });
}

/** Sends bytes as they are and resolves with all that comes until the other side closes. */
export function raw(url: string, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    let got = "";
    socket.setEncoding("latin1");
    socket.on("data", (piece: string) => (got += piece));
    socket.on("error", reject);
    socket.on("end", () => {
      socket.end();
      resolve(got);
    });
  });
}

/** `HTTP/1.0` or `HTTP/1.1` request as bytes. */
export function requestBytes(version: string, one: Ask): string {
  const fields = Object.entries({ host: "gateway", "content-length": String(BODY.length), ...headersOf(one) });
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return `POST ${one.path ?? "/v1/chat/completions"} HTTP/${version}\r\n${lines}\r\n${BODY}`;
}
