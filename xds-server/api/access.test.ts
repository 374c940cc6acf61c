import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Caller, isLoopback, refusal } from "./authorization.ts";
import { RequestRate } from "./request-rate.ts";

const TOKEN = "0123456789abcdef";
const caller = (more: Partial<Caller> = {}): Caller => ({
  authorization: undefined,
  origin: undefined,
  host: "127.0.0.1:8080",
  remoteAddress: "127.0.0.1",
  certified: false,
  ...more,
});
const open = { token: undefined, clientCertificates: false };
const withToken = { token: TOKEN, clientCertificates: false };

describe("who may use the admin API", () => {
  it.each([
    ["this machine, without a token", caller(), open, undefined],
    ["this machine by name", caller({ host: "localhost" }), open, undefined],
    ["this machine over IPv6", caller({ host: "[::1]:80", remoteAddress: "::ffff:127.0.0.1" }), open, undefined],
    ["another machine", caller({ remoteAddress: "10.0.0.1" }), open, 403],
    ["a name that resolves to loopback", caller({ host: "evil.example:8080" }), open, 403],
    ["no name", caller({ host: undefined }), open, 403],
    ["a web page", caller({ origin: "http://127.0.0.1:8080" }), open, 403],
    ["a web page with the token", caller({ origin: "null", authorization: `Bearer ${TOKEN}` }), withToken, 403],
    [
      "the token",
      caller({ authorization: `Bearer ${TOKEN}`, remoteAddress: "10.0.0.1", host: "a" }),
      withToken,
      undefined,
    ],
    ["the token in another case of the scheme", caller({ authorization: `bearer ${TOKEN}` }), withToken, undefined],
    ["this machine without the token", caller(), withToken, 401],
    ["a part of the token", caller({ authorization: `Bearer ${TOKEN.slice(1)}` }), withToken, 401],
    ["the token and more", caller({ authorization: `Bearer ${TOKEN} x` }), withToken, 401],
    ["another scheme", caller({ authorization: `Basic ${TOKEN}` }), withToken, 401],
    ["a certificate that nobody asked for", caller({ certified: true, remoteAddress: "10.0.0.1" }), open, 403],
    [
      "a certificate",
      caller({ certified: true, remoteAddress: "10.0.0.1" }),
      { ...open, clientCertificates: true },
      undefined,
    ],
    ["no certificate", caller(), { ...open, clientCertificates: true }, 401],
    [
      "the token in place of a certificate",
      caller({ authorization: `Bearer ${TOKEN}` }),
      { ...withToken, clientCertificates: true },
      undefined,
    ],
  ])("%s", (_, who, rules, status) => {
    expect(refusal(who, rules)?.status).toBe(status);
  });

  it("only the very token passes", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const passes = refusal(caller({ authorization: `Bearer ${text}` }), withToken) === undefined;
        expect(passes).toBe(text.trim() === TOKEN);
      }),
    );
  });

  it("knows which addresses are of this machine alone", () => {
    for (const host of ["127.0.0.1", "127.1.2.3", "localhost", "[::1]"]) expect(isLoopback(host)).toBe(true);
    for (const host of ["0.0.0.0", "[::]", "10.0.0.1", "127.0.0.1.example", "localhost.example"])
      expect(isLoopback(host)).toBe(false);
  });
});

describe("requests of one address", () => {
  it("never get more than burst + rate * time", () => {
    const options = { burst: 5, perSecond: 2, maxAddresses: 10 };
    fc.assert(
      fc.property(fc.array(fc.nat(3_000), { maxLength: 60 }), (pauses) => {
        const rate = new RequestRate(options);
        let now = 0;
        let passed = 0;
        for (const pause of pauses) {
          now += pause;
          const wait = rate.take("a", now);
          if (wait === 0) passed++;
          else {
            // What it says is enough.
            now += wait * 1_000;
            expect(rate.take("a", now)).toBe(0);
            passed++;
          }
          expect(passed).toBeLessThanOrEqual(options.burst + (options.perSecond * now) / 1_000);
        }
      }),
    );
  });

  it("remembers a bounded number, and a clock that goes back gives nothing", () => {
    const rate = new RequestRate({ burst: 1, perSecond: 1, maxAddresses: 2 });
    expect(rate.take("a", 1_000)).toBe(0);
    expect(rate.take("a", 0)).toBe(1);
    expect(rate.take("a", 0)).toBe(1);
    expect(rate.take("b", 0)).toBe(0);
    expect(rate.take("c", 0)).toBe(0);
    expect(rate.take("b", 0)).toBe(1);
    expect(rate.take("a", 0)).toBe(0);
  });
});
