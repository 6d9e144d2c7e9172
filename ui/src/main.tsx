import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import "uplot/dist/uPlot.min.css";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/frame.css";
import "./styles/parts.css";
import { router } from "./app/router";
import { startSettings } from "./data/settings";

startSettings();

// Written out whole: as it stands it is relative to an address that changes.
const icon = document.querySelector<HTMLLinkElement>("link[rel=icon]");
if (icon) icon.href = new URL(icon.href).href;

const client = new QueryClient({
  defaultOptions: {
    queries: {
      // Each page says itself when it tries again.
      retry: false,
      networkMode: "always",
      refetchOnWindowFocus: false,
      gcTime: 5 * 60_000,
      structuralSharing: false,
    },
  },
});

const root = document.getElementById("root");
if (!root) throw new Error("the page has no place for the UI");
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={client}>
      <RouterProvider router={router} />
    </QueryClientProvider>
  </StrictMode>,
);
