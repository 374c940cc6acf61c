/** Entry of the arm `cache`. As in xds-server/main.ts, nothing is loaded before the young generation is held. */
import { boundYoungGeneration, holdYoungGeneration } from "../../xds-server/young-generation.ts";

holdYoungGeneration();
await import("./cache-server.ts");
boundYoungGeneration();
