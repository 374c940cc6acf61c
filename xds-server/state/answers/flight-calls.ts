/** Flights on the wire: leaders by gRPC, followers by plain HTTP/2, because their requests come as clients sent them to Envoy, which has routed them here. */
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { CallError, type PageMethod, Status, type StreamCall, type StreamMethod } from "../../grpc/index.ts";
import type { FlightMetrics, FollowResult } from "./flight-metrics.ts";
import { decodeLead, encodeOpen, encodeReceived, FLIGHT_HEADER, type LeadRequest } from "./flight-protocol.ts";
import type { Flight, FlightHead, Flights } from "./flights.ts";
import { FLIGHT_ACK_BYTES, FLIGHT_LINGER_MS } from "./limits.ts";

export interface FlightContext {
  readonly flights: Flights;
  readonly metrics: FlightMetrics;
  /** ms since the epoch. */
  readonly now: () => number;
  /** Calls `work` in so many ms, unless the process ends before. */
  readonly later?: (work: () => void, ms: number) => void;
}

/** Of a request that reads along and cannot: the client may ask again. */
const GONE = JSON.stringify({
  error: {
    message: "The answer that this request was to share is not here any more. Send it again.",
    type: "server_error",
    param: null,
    code: "flight_gone",
  },
});

const afterwards = (work: () => void, ms: number): void => void setTimeout(work, ms).unref();

/** Takes the answer of one leader. */
export function leadMethod({ flights, metrics, now, later = afterwards }: FlightContext): StreamMethod {
  return (call: StreamCall) => {
    let id = "";
    let flight: Flight | undefined;
    let received = 0;
    let acknowledged = 0;
    let open = false;
    const finish = (complete: boolean): void => {
      if (flight === undefined) return;
      metrics.flights.inc({ result: complete ? "complete" : "broken" });
      if (complete) flight.end();
      else flight.abandon();
      flight = undefined;
      later(() => flights.forget(id), FLIGHT_LINGER_MS);
    };
    call.onMessage = (message) => {
      const { data, end, ...first } = decoded(message);
      if (id === "") {
        flight = beginFlight(first, flights, now());
        if (flight === undefined) {
          metrics.flights.inc({ result: "refused" });
          throw new CallError(Status.resourceExhausted, "too many answers are on their way");
        }
        id = first.flight;
      }
      if (flight === undefined) return;
      flight.append(data);
      metrics.bytes.inc({ what: "led" }, data.length);
      received += data.length;
      // Behind the first bytes: who follows at once has some.
      if (!open && received > 0) {
        open = true;
        call.write(encodeOpen());
      }
      if (received - acknowledged >= FLIGHT_ACK_BYTES) {
        acknowledged = received;
        call.write(encodeReceived(received));
      }
      if (!end) return;
      finish(true);
      call.end(Status.ok);
    };
    call.onHalfClose = () => {
      finish(false);
      call.end(Status.invalidArgument, "the answer is not complete");
    };
    call.onClose = () => finish(false);
  };
}

/** Gives the answer of a leader to one follower. What the request says besides is not read. */
export function followPage({ flights, metrics, now }: FlightContext): PageMethod {
  return (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    stream.resume();
    const id = headers[FLIGHT_HEADER];
    const flight = typeof id === "string" ? flights.find(id) : undefined;
    let result: FollowResult = "left";
    const begin = (head: FlightHead): void => {
      // Node ends a stream that it is to reset, as if all had come, unless it has to wait for trailers.
      if (!stream.headersSent) stream.respond(headersOf(head, now()), { waitForTrailers: true });
    };
    const follower = flight?.read({
      write: (bytes) => {
        metrics.bytes.inc({ what: "followed" }, bytes.length);
        begin(flight.head);
        return stream.write(bytes);
      },
      end: () => {
        result = "complete";
        begin(flight.head);
        stream.end();
      },
      cut: () => {
        result = "broken";
        if (stream.headersSent) stream.close(constants.NGHTTP2_INTERNAL_ERROR);
        else sayGone(stream);
      },
    });
    if (follower === undefined) {
      metrics.follows.inc({ result: "gone" });
      sayGone(stream);
      return;
    }
    stream.on("wantTrailers", () => {
      if (result === "complete") stream.sendTrailers({});
    });
    stream.on("drain", () => follower.resume());
    stream.on("close", () => {
      follower.leave();
      metrics.follows.inc({ result });
    });
  };
}

function sayGone(stream: ServerHttp2Stream): void {
  const length = Buffer.byteLength(GONE);
  stream.respond({ ":status": 503, "content-type": "application/json", "content-length": length });
  stream.end(GONE);
}

function beginFlight(first: Omit<LeadRequest, "data" | "end">, flights: Flights, now: number): Flight | undefined {
  if (first.flight === "") throw new CallError(Status.invalidArgument, "no flight");
  const { contentType, key, ageMs } = first;
  return flights.begin(first.flight, { contentType, key, askedAt: now - ageMs });
}

function decoded(message: Buffer): LeadRequest {
  try {
    return decodeLead(message);
  } catch {
    throw new CallError(Status.invalidArgument, "not a LeadRequest");
  }
}

function headersOf({ contentType, key, askedAt }: FlightHead, now: number) {
  return {
    ":status": 200,
    "content-type": contentType,
    "x-llm-cache": "coalesced",
    age: String(Math.max(0, Math.floor((now - askedAt) / 1_000))),
    ...(key === undefined ? {} : { "x-llm-cache-key": key }),
  };
}
