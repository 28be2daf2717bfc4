"""From values to text: nothing here reads, writes or decides."""
