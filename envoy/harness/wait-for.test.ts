import { expect, it } from "vitest";
import { waitFor } from "./wait-for.ts";

it("returns the first truthy value", async () => {
  let calls = 0;
  const value = await waitFor(() => (++calls < 3 ? undefined : calls), { what: "three", intervalMs: 1 });
  expect(value).toBe(3);
});

it("takes an error for not yet, and names the last one when time is up", async () => {
  let calls = 0;
  const flaky = async (): Promise<string> => {
    if (++calls < 3) throw new Error("refused");
    return "up";
  };
  expect(await waitFor(flaky, { what: "the server", intervalMs: 1 })).toBe("up");
  const never = waitFor(() => Promise.reject(new Error("refused")), {
    what: "the server",
    timeoutMs: 10,
    intervalMs: 1,
  });
  await expect(never).rejects.toThrow("waited 10 ms for the server: refused");
});

it("looks once even when there is no time at all", async () => {
  expect(await waitFor(() => "there", { what: "it", timeoutMs: 0 })).toBe("there");
});
