"""The hnctl command. Nothing here is meant to be imported; the library is `hypernode`."""
