/** Flights on the wire: leaders by gRPC, followers by plain HTTP/2, because their requests come as clients sent them to Envoy, which has routed them here. */
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { CallError, type PageMethod, Status, type StreamCall, type StreamMethod } from "../../grpc/index.ts";
import { type FlightForwarder, HOP_HEADER } from "./flight-forward.ts";
import type { FlightMetrics, FollowResult } from "./flight-metrics.ts";
import type { FlightPlaces } from "./flight-places.ts";
import { decodeLead, encodeOpen, encodeReceived, type LeadRequest } from "./flight-protocol.ts";
import type { Flight, FlightHead, Flights } from "./flights.ts";
import { FLIGHT_HEADER } from "./follow-request.ts";
import { FLIGHT_ACK_BYTES, FLIGHT_LINGER_MS, FLIGHT_PLACE_MS } from "./limits.ts";
import type { PacedReplays } from "./paced-replays.ts";

export interface FlightContext {
  readonly flights: Flights;
  /** Stored streams that are given again as they came, to requests that come with their ids as those that read along do. */
  readonly replays?: PacedReplays;
  readonly metrics: FlightMetrics;
  /** Where several servers are behind one address: which has what, and the way there. */
  readonly places?: FlightPlaces | undefined;
  readonly forwarder?: FlightForwarder | undefined;
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
export function leadMethod({ flights, metrics, places, now, later = afterwards }: FlightContext): StreamMethod {
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
      later(() => {
        flights.forget(id);
        places?.forget(id);
      }, FLIGHT_LINGER_MS);
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
        const { reached } = call.peer;
        if (places === undefined || reached === undefined) call.write(encodeOpen());
        // Nobody follows before every server can say where.
        else void places.note(id, reached, FLIGHT_PLACE_MS).then(() => call.write(encodeOpen()));
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
export function followPage({ flights, replays, metrics, places, forwarder, now }: FlightContext): PageMethod {
  return (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    stream.resume();
    const id = headers[FLIGHT_HEADER];
    const flight = typeof id === "string" ? (flights.find(id) ?? replays?.find(id)) : undefined;
    const isReplay = flight?.head.cache === "hit";
    let result: FollowResult = "left";
    const begin = (head: FlightHead): void => {
      // Node ends a stream that it is to reset, as if all had come, unless it has to wait for trailers.
      if (!stream.headersSent) stream.respond(headersOf(head, now()), { waitForTrailers: true });
    };
    const follower = flight?.read({
      write: (bytes) => {
        if (!isReplay) metrics.bytes.inc({ what: "followed" }, bytes.length);
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
      const gone = () => {
        metrics.follows.inc({ result: "gone" });
        sayGone(stream);
      };
      // What is here and cannot be read is nowhere else.
      const isAway = flight === undefined && typeof id === "string" && headers[HOP_HEADER] === undefined;
      if (!isAway || places === undefined || forwarder === undefined) return gone();
      void places.find(id).then((place) => {
        if (stream.destroyed) return;
        if (place === undefined) return gone();
        metrics.follows.inc({ result: "forwarded" });
        forwarder.forward(stream, id, place, () => sayGone(stream));
      });
      return;
    }
    stream.on("wantTrailers", () => {
      if (result === "complete") stream.sendTrailers({});
    });
    stream.on("drain", () => follower.resume());
    stream.on("close", () => {
      follower.leave();
      if (!isReplay) metrics.follows.inc({ result });
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

function headersOf({ contentType, key, askedAt, cache }: FlightHead, now: number) {
  return {
    ":status": 200,
    "content-type": contentType,
    "x-llm-cache": cache ?? "coalesced",
    age: String(Math.max(0, Math.floor((now - askedAt) / 1_000))),
    ...(key === undefined ? {} : { "x-llm-cache-key": key }),
  };
}
