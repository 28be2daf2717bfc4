"""From values to text; nothing here decides. `console` asks for the terminal's width, and `progress` writes to it."""
