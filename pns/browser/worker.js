// What a SharedWorker of PNS runs: the one connection of all tabs of this origin.

import { serve } from "./client.js";

serve(globalThis);
