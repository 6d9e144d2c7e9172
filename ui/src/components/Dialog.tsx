import { type ReactNode, useEffect, useId, useRef } from "react";

interface Props {
  title: string;
  close: (() => void) | null;
  className?: string;
  children: ReactNode;
}

/** A dialog of the browser's own: focus stays in it, Escape closes it where that is allowed. */
export function Dialog({ title, close, className, children }: Props): ReactNode {
  const box = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    const dialog = box.current;
    if (dialog && !dialog.open) dialog.showModal();
    return () => dialog?.close();
  }, []);
  return (
    <dialog
      ref={box}
      className={className}
      aria-labelledby={heading}
      onCancel={(event) => {
        event.preventDefault();
        close?.();
      }}
      onClick={(event) => {
        if (event.target === box.current) close?.();
      }}
    >
      <h2 id={heading} className={className === "palette" ? "sr" : ""}>{title}</h2>
      {children}
    </dialog>
  );
}
