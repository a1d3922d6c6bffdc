// Asks for the pool and the state while the page's modules are still on their way.

window.early = Object.fromEntries(["pool", "state"].map((what) => [what, fetch(`api/${what}`)]));
