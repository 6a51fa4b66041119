import java.io.BufferedReader;
import java.io.FileReader;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;

/** Reads lines of "name version hex" and has Kafka's own classes read and write each; see README.md. */
public class Check {
    private static final List<String> PLACES = List.of(
        "org.apache.kafka.common.message.%sData",
        "org.apache.kafka.common.message.%s",
        "org.apache.kafka.coordinator.group.generated.%s",
        "org.apache.kafka.coordinator.transaction.generated.%s",
        "org.apache.kafka.server.log.remote.metadata.storage.generated.%s");

    private static Message make(String name) throws Exception {
        for (String place : PLACES) {
            try {
                return (Message) Class.forName(place.formatted(name)).getDeclaredConstructor().newInstance();
            } catch (ClassNotFoundException elsewhere) {
                continue;
            }
        }
        throw new IllegalArgumentException("Kafka has no " + name);
    }

    private static String complaint(String name, short version, byte[] bytes) {
        try {
            Message message = make(name);
            ByteBuffer in = ByteBuffer.wrap(bytes);
            message.read(new ByteBufferAccessor(in), version);
            if (in.hasRemaining())
                return in.remaining() + " bytes too many";
            ObjectSerializationCache cache = new ObjectSerializationCache();
            ByteBuffer out = ByteBuffer.allocate(message.size(cache, version));
            message.write(new ByteBufferAccessor(out), cache, version);
            return Arrays.equals(out.array(), bytes) ? null : "written as " + HexFormat.of().formatHex(out.array());
        } catch (Exception error) {
            return error.toString();
        }
    }

    public static void main(String[] arguments) throws Exception {
        int checked = 0, bad = 0;
        try (BufferedReader lines = new BufferedReader(new FileReader(arguments[0]))) {
            for (String line; (line = lines.readLine()) != null; checked++) {
                String[] parts = line.split(" ", -1);
                String why = complaint(parts[0], Short.parseShort(parts[1]), HexFormat.of().parseHex(parts[2]));
                if (why != null) {
                    bad++;
                    System.out.println(parts[0] + " v" + parts[1] + ": " + why);
                }
            }
        }
        System.out.println(checked + " checked, " + bad + " bad");
        System.exit(bad == 0 ? 0 : 1);
    }
}
