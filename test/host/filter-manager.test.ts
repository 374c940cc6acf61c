/** The filter manager without a module: a scripted filter in front of the outlet. */
import { describe, expect, test } from "vitest";
import { DataStatus, HeadersStatus, TrailersStatus } from "./abi.ts";
import type { ByteBuffer } from "./buffers.ts";
import { Direction } from "./filter-manager.ts";
import { HeaderMap } from "./header-map.ts";

interface Script {
  headers?: number;
  data?: number[];
  trailers?: number;
}

function direction(
  { headers = HeadersStatus.Continue, data = [], trailers = TrailersStatus.Continue }: Script,
  limit = 100,
) {
  const shown: string[] = [];
  const events: string[] = [];
  const answers = [...data];
  const way = new Direction(
    {
      headers: (_map, end) => {
        shown.push(`headers ${end}`);
        return headers;
      },
      data: (buffer: ByteBuffer, end) => {
        shown.push(`data ${new TextDecoder().decode(buffer.view())} ${end}`);
        return answers.shift() ?? DataStatus.Continue;
      },
      trailers: () => {
        shown.push("trailers");
        return trailers;
      },
    },
    limit,
    { overflow: () => events.push("overflow"), ended: () => events.push("ended"), unwound: () => undefined },
  );
  const feed = (text: string, end = false): void => way.receiveData(new TextEncoder().encode(text), end);
  return { way, shown, events, feed };
}
const map = (): HeaderMap => new HeaderMap({ ":path": "/" });

describe("filter manager", () => {
  test("Continue passes everything on as it comes", () => {
    const { way, shown, events, feed } = direction({});
    way.startHeaders(map(), false);
    feed("a");
    feed("b", true);
    expect(shown).toEqual(["headers false", "data a false", "data b true"]);
    expect(way.outlet.text).toBe("ab");
    expect(events).toEqual(["ended"]);
  });

  test("StopIteration holds the headers, shows the data, and Continue from data releases both", () => {
    const { way, feed } = direction({
      headers: HeadersStatus.StopIteration,
      data: [DataStatus.StopIterationAndBuffer, DataStatus.Continue],
    });
    way.startHeaders(map(), false);
    feed("a");
    expect(way.outlet.headers).toBeUndefined();
    feed("b", true);
    expect(way.outlet.headers).toBeDefined();
    expect(way.outlet.text).toBe("ab");
    expect(way.outlet.ended).toBe(true);
  });

  test("StopAll shows nothing; resume replays the held data to the filter with its end", () => {
    const { way, shown, feed } = direction({ headers: HeadersStatus.StopAllIterationAndWatermark });
    way.startHeaders(map(), false);
    feed("a");
    feed("b", true);
    expect(shown).toEqual(["headers false"]);
    expect(way.resume()).toBe(true);
    expect(shown).toEqual(["headers false", "data ab true"]);
    expect(way.outlet.text).toBe("ab");
  });

  test("resume of what is not paused is reported", () => {
    const { way } = direction({});
    way.startHeaders(map(), false);
    expect(way.resume()).toBe(false);
  });

  test("buffering beyond the limit overflows, holding by watermark blocks the sender and loses nothing", () => {
    const buffering = direction({ headers: HeadersStatus.StopIteration, data: [1, 1, 1] }, 3);
    buffering.way.startHeaders(map(), false);
    buffering.feed("abc");
    expect(buffering.events).toEqual([]);
    buffering.feed("d");
    expect(buffering.events).toEqual(["overflow"]);

    const holding = direction({ headers: HeadersStatus.StopAllIterationAndWatermark }, 3);
    holding.way.startHeaders(map(), false);
    for (const text of ["ab", "cd", "ef"]) holding.feed(text);
    holding.feed("g", true);
    expect(holding.events).toEqual([]);
    expect(holding.way.blocked).toBe(true);
    expect(holding.way.received).toBe(4);
    holding.way.resume();
    expect(holding.way.outlet.text).toBe("abcdefg");
    expect(holding.way.outlet.ended).toBe(true);
  });

  test("StopIterationNoBuffer drops data, and a later resume still ends the message", () => {
    const { way, feed } = direction({ data: [DataStatus.StopIterationNoBuffer] });
    way.startHeaders(map(), false);
    feed("lost", true);
    expect(way.outlet.ended).toBe(false);
    way.resume();
    expect(way.outlet.text).toBe("");
    expect(way.outlet.ended).toBe(true);
  });

  test("trailers wait for held data", () => {
    const { way, shown, feed } = direction({
      headers: HeadersStatus.StopIteration,
      data: [DataStatus.StopIterationAndBuffer],
      trailers: TrailersStatus.Continue,
    });
    way.startHeaders(map(), false);
    feed("a");
    way.receiveTrailers(new HeaderMap({ t: "1" }));
    expect(shown).toEqual(["headers false", "data a false", "trailers"]);
    expect(way.outlet.text).toBe("a");
    expect(way.outlet.trailers?.get("t")).toBe("1");
  });

  test("trailers that the filter stops go out on resume", () => {
    const { way } = direction({ trailers: TrailersStatus.StopIteration });
    way.startHeaders(map(), false);
    way.receiveTrailers(new HeaderMap({ t: "1" }));
    expect(way.outlet.ended).toBe(false);
    way.resume();
    expect(way.outlet.trailers?.get("t")).toBe("1");
    expect(way.outlet.ended).toBe(true);
  });

  test("nothing is shown or passed after an abort or the end", () => {
    const { way, shown, feed } = direction({});
    way.startHeaders(map(), true);
    feed("late");
    expect(shown).toEqual(["headers true"]);
    const other = direction({});
    other.way.startHeaders(map(), false);
    other.way.aborted = true;
    other.feed("late");
    expect(other.way.outlet.text).toBe("");
  });
});
