/** The model server that fills the caches. It counts its calls: while hits are measured there must be none. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { answerHeader, answers, answersPath } from "./traffic.ts";

export interface Origin {
  readonly address: string;
  /** So far. */
  calls(): number;
  /** While true, calls are not answered; those that wait are when it becomes false. */
  hold(held: boolean): void;
  close(): Promise<void>;
}

export async function startOrigin(): Promise<Origin> {
  let calls = 0;
  let held = false;
  const waiting: (() => void)[] = [];
  const server = createServer((request, response) => {
    const asked = request.headers[answerHeader]?.toString() ?? (request.url ?? "").slice(answersPath.length);
    const answer = answers.find(({ name }) => name === asked.split("?")[0]);
    const send = (): void => {
      if (answer === undefined) response.writeHead(404).end();
      else {
        // For Envoy's cache, which keeps nothing that does not say how long.
        response.setHeader("cache-control", "public, max-age=86400");
        response.writeHead(200, { "content-type": answer.contentType }).end(answer.body);
      }
    };
    request.resume().on("end", () => {
      calls++;
      if (held) waiting.push(send);
      else send();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls: () => calls,
    hold: (hold) => {
      held = hold;
      if (!held) for (const send of waiting.splice(0)) send();
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
