import { describe, expect, test } from "vitest";
import { requestHeaders, saidBy, startFixture } from "./fixture.ts";

const state = (spec = {}, options = {}) => startFixture("state", spec, options);

describe("properties", () => {
  test("text, integers, absent and own ones", async () => {
    const { plugin } = await state();
    const headers = requestHeaders("property");
    const size = Object.entries(headers).reduce((sum, [name, value]) => sum + name.length + value.length, 0);
    const said = saidBy(plugin.exchange({ headers }));
    const reported = "out-path".length + "0 /sdk 4".length;
    expect(said).toEqual({
      path: "0 /sdk 4",
      total: String(size + reported),
      text: "-1",
      none: "-7 1  0",
      set: "00 v 1",
      outside: "6",
    });
  });

  test("a test can set any", async () => {
    const { plugin } = await state();
    const stream = plugin.stream().setAttribute("request.total_size", 77).setAttribute("request.path", "/other");
    stream.requestHeaders(requestHeaders("property"), { endOfStream: true });
    expect(saidBy(stream)).toMatchObject({ path: "0 /other 6", total: "77" });
  });
});
